"""Goldpool's CRDs change, or go, while machines run."""

import copy
from collections.abc import Iterator

import pytest

from tests.e2e import tidy
from tests.e2e.api import Api, Obj
from tests.e2e.builders import TEST_GOLDEN, TEST_STANDARD
from tests.e2e.server import Image
from tests.e2e.site import Site

NODE = "node-1"
pytestmark = pytest.mark.alone
STANDARD = f"{TEST_STANDARD}/volumes"
GOLDEN = f"{TEST_GOLDEN}/templates"
CRD = "CustomResourceDefinition"


def bare(obj: Obj) -> Obj:
    """As it would be applied from a backup."""
    metadata = {
        k: v for k, v in obj["metadata"].items() if k in {"name", "namespace", "labels", "annotations"}
    }
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "metadata": metadata,
        "spec": copy.deepcopy(obj["spec"]),
    }


def found(api: Api, kind: str, name: str) -> Obj:
    crd = api.get(kind, name)
    assert crd is not None
    return crd


@pytest.fixture
def restored(site: Site) -> Iterator[list[str]]:
    """The CRDs named in it are as before at the test's end."""
    names: list[str] = []
    before = {
        f"{plural}.goldpool.io": found(site.api, CRD, f"{plural}.goldpool.io") for plural in ("volumes",)
    }
    yield names
    for name in names:
        if site.api.get(CRD, name) is None:
            site.api.create(bare(before[name]))
        else:
            site.api.patch(CRD, name, {"spec": {"versions": before[name]["spec"]["versions"]}})


def test_a_new_version_of_a_schema_is_applied_meanwhile(site: Site, boot: Image, restored: list[str]) -> None:
    """Each update ends all watches of the kind, and for a moment the API server refuses to serve it."""
    golden, standard = site.pools_on(NODE)
    template = site.template(boot)
    names = ["a", "b", "c"]
    restored.append("volumes.goldpool.io")
    versions = found(site.api, CRD, restored[0])["spec"]["versions"]
    for number, name in enumerate(names):
        site.machine(name, template=template)
        spec = versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        spec[f"later{number}"] = {"type": "string", "description": "a field of the next version"}
        site.api.patch(CRD, restored[0], {"spec": {"versions": versions}})
    site.running(*names)
    site.delete("VirtualMachine", "a")
    site.gone("VirtualMachine", "a")
    site.close()
    for verb in ("fetch", "create", "delete-volume", "delete-parent"):
        jobs = site.jobs.operations(verb, golden, standard)
        assert set(jobs.values()) == {1}, f"not given to one Job: {jobs}"


def test_a_crd_that_is_deleted_takes_no_byte_with_it(
    site: Site, boot: Image, boot_line: str, restored: list[str]
) -> None:
    """The guest runs on; and a Volume that comes back from a backup does not touch the disk, for it is another object."""
    api = site.api
    if others := [v for v in api.every("Volume") if v["metadata"]["namespace"] != site.namespace]:
        pytest.skip(f"the CRD has {len(others)} Volumes of others")
    site.pools_on(NODE)
    template = site.template(boot, retention="0s")
    site.machine("vm", template=template)
    site.running("vm")
    site.says("vm", f"{boot_line} BOOTS 0001")
    backup = bare(site.get("Volume", "vm-root"))
    disks, parents = site.nodes.names_in(NODE, STANDARD), site.nodes.names_in(NODE, GOLDEN)
    pod = site.pod_of("vm")
    assert pod is not None
    assert len(disks) == len(parents) == 1

    restored.append("volumes.goldpool.io")
    definition = bare(found(api, CRD, restored[0]))
    api.delete(CRD, restored[0])
    site.eventually(lambda: api.get(CRD, restored[0]) is None, "the CRD is gone, and so are the Volumes")
    site.operator.stop()  # until the backup is in place
    assert not site.jobs.operations("delete-volume", *site.pools)
    assert not site.jobs.operations("delete-parent", *site.pools)

    api.create(definition)
    site.eventually(lambda: _served(api), "the kind is served again")
    api.create(backup)
    site.operator.start()
    site.reason("Volume", "vm-root", "VolumeRestored")
    assert site.nodes.names_in(NODE, STANDARD) == disks
    assert set(site.nodes.names_in(NODE, GOLDEN)) >= set(parents)
    still = site.pod_of("vm")
    assert still is not None
    assert still["metadata"]["uid"] == pod["metadata"]["uid"]
    assert not site.jobs.operations("delete-volume", *site.pools)
    tidy.force(site.traces)  # a disk that nobody owns is nobody's to delete


def _served(api: Api) -> bool:
    try:
        api.every("Volume")
    except Exception:
        return False
    return True
