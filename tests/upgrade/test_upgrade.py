"""From the version before this one to this one and back, with machines running all the while."""

from pathlib import Path

import yaml

from tests.e2e.server import Image
from tests.e2e.site import Site
from tests.upgrade.conftest import Chart
from tests.upgrade.guest import identity

ROOT = Path(__file__).resolve().parents[2]


def crds_are_those_of(site: Site, tree: Path) -> None:
    """Column by column and field by field; the server adds nothing to a version."""
    for path in sorted((tree / "crds").glob("*.yaml")):
        wanted = yaml.safe_load(path.read_text())
        found = site.api.get("CustomResourceDefinition", wanted["metadata"]["name"])
        assert found is not None, path.name
        assert found["spec"]["versions"] == wanted["spec"]["versions"], path.name


def test_machines_run_through_an_upgrade_and_its_rollback(
    site: Site, chart: Chart, boot: Image, boot_line: str
) -> None:
    old = chart.to_previous()
    crds_are_those_of(site, chart.previous.tree)
    site.pools_on("node-1")
    template = site.template(boot)
    for name in ("stays", "stops", "goes"):
        site.machine(name, template=template)
    site.running("stays", "stops", "goes")
    before = {name: identity(site, name) for name in ("stays", "stops", "goes")}

    chart.to_present()
    crds_are_those_of(site, ROOT)
    site.machine("new", template=template)
    site.running("new")  # so the new operator has taken over
    assert {name: identity(site, name) for name in before} == before
    site.running(*before)
    assert len(site.parents(template)) == 1, "the copy that was there serves on"
    site.api.patch("VirtualMachine", "stops", {"spec": {"runStrategy": "Halted"}}, site.namespace)
    site.phase("stops", "Stopped")
    site.api.patch("VirtualMachine", "stops", {"spec": {"runStrategy": "Always"}}, site.namespace)
    site.running("stops")
    site.says("stops", f"{boot_line} BOOTS 0002")
    site.delete("VirtualMachine", "goes")
    site.gone("VirtualMachine", "goes")
    site.gone("Volume", "goes-root")
    between = {name: identity(site, name) for name in ("stays", "stops", "new")}
    assert between["stays"] == before["stays"]

    chart.back_to(old)
    crds_are_those_of(site, chart.previous.tree)
    site.machine("newer", template=template)
    site.running("newer")
    assert {name: identity(site, name) for name in between} == between
    site.running(*between)
    site.delete("VirtualMachine", "new", "stays")
    site.gone("VirtualMachine", "new", "stays")


def test_machines_run_without_an_operator_and_the_next_one_knows_them(
    site: Site, chart: Chart, boot: Image
) -> None:
    chart.to_present()
    golden, standard = site.pools_on("node-1")
    template = site.template(boot)
    site.machine("vm", template=template)
    site.running("vm")
    before = identity(site, "vm")

    chart.uninstall_without_hooks()
    crds_are_those_of(site, ROOT)
    assert site.api.get("Deployment", "goldpool", "goldpool-system") is None
    for kind, name in (("StoragePool", golden), ("StoragePool", standard), ("Template", template)):
        site.get(kind, name)
    assert identity(site, "vm") == before

    chart.to_present()
    site.machine("next", template=template)
    site.running("next", "vm")
    assert identity(site, "vm") == before
