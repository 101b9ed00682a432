"""kstatus (Flux), `kubectl wait` and Argo CD's health script say the same of every kind in every state.

Where one of them saw a machine ready and another did not, a pipeline would wait for ever, or not at all.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from hack.gitops.judge import Verdict, build, judge
from tests.e2e.api import Obj
from tests.e2e.nodes import ROOT
from tests.e2e.server import Image
from tests.e2e.site import Site

NODE: Final = "node-1"
WRONG: Final = f"sha256:{'0' * 64}"
ARGO_SAYS: Final = {
    "InProgress": "Progressing",
    "Current": "Healthy",
    "Failed": "Degraded",
    "Terminating": "Progressing",
}
KINDS: Final = ("StoragePool", "StorageLocation", "Template", "Parent", "VirtualMachine", "Volume")


class Disagreement(Exception):
    """Nothing that waiting could heal."""


class Panel:
    """The three judges, and the objects of one test."""

    def __init__(self, site: Site, program: Path, scripts: dict[str, Path]) -> None:
        self.site, self._program, self._scripts = site, program, scripts

    def objects(self) -> Iterator[Obj]:
        for kind in KINDS:
            namespace = self.site.namespace if kind in {"VirtualMachine", "Volume"} else ""
            for obj in self.site.api.every(kind, namespace):
                spec = obj["spec"]
                of_pool = self.site.token in str(spec.get("pool")) + str(spec.get("template"))
                if namespace or of_pool or self.site.token in obj["metadata"]["name"]:
                    yield {"apiVersion": "goldpool.io/v1alpha1", "kind": kind, **obj}

    def say(self, expected: dict[str, str]) -> None:
        """All three agree on every object of the test, and kstatus says so of each "Kind name".

        Names are told without the test's token; what is not named here still must agree.
        """
        told: dict[str, str] = {}

        def as_expected() -> bool:
            told.clear()
            told.update({self._title(obj): self.agreed(obj) for obj in self.objects()})
            return all(told.get(title) == status for title, status in expected.items())

        try:
            self.site.eventually(as_expected, "kstatus says so")
        except AssertionError:
            raise AssertionError(f"expected {expected}, they say {told}") from None

    def agreed(self, obj: Obj) -> str:
        """What kstatus says; the others asked about the very same version of the object."""
        while True:
            waited = self._kubectl_waited(obj)
            found = self.site.api.get(
                obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace", "")
            )
            if found is None:
                return "Gone"
            if found["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]:
                break
            obj = {**obj, **found}
        [said] = judge(self._program, self._scripts[obj["kind"]], [obj])
        about = f"{obj['kind']} {obj['metadata']['name']}: {said}, kubectl wait {waited}: {json.dumps(obj['status'])}"
        agree = said.argo == ARGO_SAYS[said.kstatus] and waited is (said.kstatus == "Current")
        if not agree or not said.argo_message:
            raise Disagreement(about)
        return said.kstatus

    def held_up(self, kind: str, name: str) -> None:
        self.site.eventually(
            lambda: self.site.condition(kind, name, "DeletionBlocked").get("status") == "True",
            f"{kind} {name} is held up",
        )

    def argo(self, kind: str, name: str) -> Verdict:
        [said] = judge(self._program, self._scripts[kind], [self.site.get(kind, name)])
        return said

    def _title(self, obj: Obj) -> str:
        """Copies and locations are told by what they are of: their own names are the operator's."""
        spec, name = obj["spec"], obj["metadata"]["name"]
        if obj["kind"] in {"StorageLocation", "Parent"}:
            name = spec.get("template") or spec["pool"]
        return f"{obj['kind']} {name.removesuffix('-' + self.site.token)}"

    def _kubectl_waited(self, obj: Obj) -> bool:
        """Asked once, without waiting."""
        resource = f"{obj['kind'].lower()}s.goldpool.io/{obj['metadata']['name']}"
        command = ["kubectl", "wait", "--for=condition=Ready", "--timeout=0s", resource]
        if "namespace" in obj["metadata"]:
            command += ["--namespace", obj["metadata"]["namespace"]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode and not any(word in done.stderr for word in ("timed out", "not met", "NotFound")):
            raise Disagreement(done.stderr)
        return done.returncode == 0


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """As an administrator of Argo CD gets them: one per kind, out of the ConfigMap."""
    settings = yaml.safe_load((ROOT / "docs/argocd/argocd-cm.yaml").read_text())["data"]
    directory = tmp_path_factory.mktemp("lua")
    found = {}
    for kind in KINDS:
        found[kind] = directory / f"{kind}.lua"
        found[kind].write_text(settings[f"resource.customizations.health.goldpool.io_{kind}"])
    return found


@pytest.fixture
def panel(site: Site, scripts: dict[str, Path]) -> Panel:
    return Panel(site, build(), scripts)


@pytest.mark.alone  # it takes the operator away
def test_from_creation_to_deletion_they_agree(site: Site, panel: Panel, boot: Image) -> None:
    slow = Image(boot.content, pause=5)
    site.operator.stop()
    golden = site.pool("golden", golden=True, hosts={"kubernetes.io/hostname": NODE})
    standard = site.pool("standard", hosts={"kubernetes.io/hostname": NODE})
    template = site.template(slow)
    site.machine("vm", template=template)
    site.api.create(
        {
            "apiVersion": "goldpool.io/v1alpha1",
            "kind": "Volume",
            "metadata": {"name": "idle", "namespace": site.namespace},
            "spec": {"type": "Data", "size": "1Mi"},
        }
    )
    people = ("StoragePool golden", "StoragePool standard", "Template boot", "VirtualMachine vm")
    panel.say(dict.fromkeys((*people, "Volume idle"), "InProgress"))  # nobody has looked at them

    site.operator.start()
    stores = dict.fromkeys(
        ("StoragePool golden", "StoragePool standard", "StorageLocation golden", "StorageLocation standard"),
        "Current",
    )
    waits = {"Volume idle": "InProgress"}  # for its first machine
    copies = ("Template boot", "Parent boot", "VirtualMachine vm", "Volume vm-root")
    panel.say({**stores, **waits, **dict.fromkeys(copies, "InProgress")})

    slow.pause = 0
    site.running("vm")
    panel.say({**stores, **waits, **dict.fromkeys(copies, "Current")})

    # A spec that nobody has acted on yet is not ready, whatever the status says of the last one.
    site.operator.stop()
    site.api.patch("VirtualMachine", "vm", {"spec": {"runStrategy": "Halted"}}, site.namespace)
    site.api.patch("Volume", "vm-root", {"spec": {"reclaimPolicy": "Retain"}}, site.namespace)
    site.api.patch("Template", template, {"spec": {"retention": "48h"}})
    site.api.patch("StoragePool", standard, {"spec": {"capacity": {"usedLimitPercent": 90}}})
    panel.say(
        dict.fromkeys(
            ("VirtualMachine vm", "Volume vm-root", "Template boot", "StoragePool standard"), "InProgress"
        )
    )
    site.operator.start()
    site.phase("vm", "Stopped")
    panel.say({**stores, **waits, **dict.fromkeys(copies, "Current")})

    for kind, name in (("Template", template), ("StoragePool", golden), ("StoragePool", standard)):
        site.delete(kind, name)
        panel.held_up(kind, name)
        assert panel.argo(kind, name).argo_message.startswith("DeletionBlocked: ")
    panel.say(dict.fromkeys(("Template boot", "StoragePool golden", "StoragePool standard"), "Terminating"))


def test_what_waits_for_a_person_is_failed_to_all_of_them(site: Site, panel: Panel, boot: Image) -> None:
    site.pools_on(NODE)
    template = site.template(boot, checksum=WRONG)
    site.machine("vm", template=template)
    site.pool("outside", path="/etc/goldpool", hosts={"kubernetes.io/hostname": NODE})
    panel.say(
        {
            "Template boot": "Failed",
            "Parent boot": "Failed",
            "VirtualMachine vm": "Failed",
            "StoragePool outside": "Failed",
            "StoragePool golden": "Current",
        }
    )
    assert "spec.checksum" in panel.argo("Template", template).argo_message

    site.api.patch("Template", template, {"spec": {"checksum": boot.checksum}})
    site.running("vm")
    panel.say(dict.fromkeys(("Template boot", "VirtualMachine vm", "Volume vm-root"), "Current"))
