"""`helm uninstall` with machines there: refused, with their number; with --no-hooks they run on.

The release is a second one without an operator: the first one belongs to all tests.
"""

import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.nodes import ROOT
from tests.e2e.server import Image
from tests.e2e.site import Site

pytestmark = pytest.mark.alone  # it counts what everybody has


class SecondRelease:
    """In the test's namespace, with a data namespace of its own, and nothing cluster-wide that the first one has."""

    def __init__(self, site: Site) -> None:
        self.site, self.name, self.data = site, f"leaving-{site.token}", f"{site.namespace}-data"

    def install(self) -> None:
        values = (
            "crds.enabled=false", "dataNamespace.create=false", f"dataNamespace.name={self.data}", "replicas=0",
            "rbac.aggregate=false", "admission.protectBindings=false",
            "admission.protectAbandon=false", f"fullnameOverride={self.name}",
        )  # fmt: skip
        done = self.helm("install", self.name, str(ROOT / "charts/goldpool"), "--set", ",".join(values))
        assert done.returncode == 0, done.stderr

    def uninstall(self, *more: str) -> subprocess.CompletedProcess[str]:
        return self.helm("uninstall", self.name, *more)

    def helm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["helm", *arguments, "--namespace", self.site.namespace]
        return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)

    def is_there(self) -> bool:
        return self.site.api.get("Deployment", self.name, self.site.namespace) is not None


@pytest.fixture
def release(site: Site) -> Iterator[SecondRelease]:
    second = SecondRelease(site)
    site.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": second.data}})
    second.install()
    yield second
    second.uninstall("--no-hooks", "--ignore-not-found")
    site.api.delete("Namespace", second.data)


def counted(site: Site) -> dict[str, int]:
    """Of all namespaces: the guard knows nobody else's volumes from ours."""
    return {kind: len(site.api.every(kind)) for kind in ("Volume", "VirtualMachine")}


def test_the_chart_stays_while_there_are_volumes_unless_it_is_meant_and_goes_without_them(
    site: Site, boot: Image, release: SecondRelease
) -> None:
    before = counted(site)
    site.pools_on("node-1")
    site.machine("vm", template=site.template(boot), reclaim="Retain")
    site.running("vm")
    pod = site.pod_of("vm")
    assert pod is not None

    refused = release.uninstall()
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert f"{release.name}-volumes-exist failed" in said
    for kind, count in counted(site).items():
        assert f"  {count} {kind}{'s' if count > 1 else ''} (" in said
    assert f"1 in {site.namespace}" in said
    assert f"helm rollback {release.name} 1 --namespace {site.namespace}" in said
    assert release.is_there(), "something was removed"

    # What the message promises: after the rollback the release can be upgraded again.
    assert release.helm("rollback", release.name, "1").returncode == 0
    upgraded = release.helm(
        "upgrade", release.name, str(ROOT / "charts/goldpool"), "--reuse-values", "--set", "podLabels.a=b"
    )
    assert upgraded.returncode == 0, upgraded.stderr

    meant = release.uninstall("--no-hooks")
    assert meant.returncode == 0, meant.stderr
    assert not release.is_there()
    site.running("vm")
    assert (site.pod_of("vm") or {})["metadata"]["uid"] == pod["metadata"]["uid"]
    release.install()

    site.delete("VirtualMachine", "vm")
    site.gone("VirtualMachine", "vm")
    assert release.uninstall().returncode != 0, "its retained volume is still there"
    site.delete("Volume", "vm-root")
    site.gone("Volume", "vm-root")
    gone = release.uninstall()
    # A machine of somebody else's keeps the chart, too.
    assert (gone.returncode == 0) is (not any(before.values())), gone.stdout + gone.stderr
    assert release.is_there() is any(before.values())
