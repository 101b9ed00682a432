"""The examples under kubectl apply, on the client's side and on the server's: what was applied stays as it was applied.

A GitOps tool compares for ever; what the operator writes into an object must be no difference to it.
"""

import json
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from hack.demo import manifests
from tests.e2e.api import Obj
from tests.e2e.builders import TEST_GOLDEN, TEST_STANDARD
from tests.e2e.nodes import ROOT
from tests.e2e.server import Image
from tests.e2e.site import Site

PATHS: Final = {"/srv/golden": TEST_GOLDEN, "/srv/standard": TEST_STANDARD}
LEFT_OUT: Final = ("web-2", "web-3", "shared")
OPERATOR: Final = "goldpool"
FINALIZER: Final = {'metadata.finalizers.v:"goldpool.io/protected"'}
BOUND: Final = {"spec.storageID", "spec.placement.host", "spec.placement.volumeUID"}


def examples(site: Site, image: Image) -> list[Obj]:
    """As they are, but for their names, the test's disks and image, and how many machines there are."""
    objects = [o for o in manifests.read(ROOT / "examples") if o["metadata"]["name"] not in LEFT_OUT]
    objects = [o for o in objects if o["kind"] != "Namespace"]
    url = site.images.serve(f"/{site.token}", image)
    names = {n: site.name(n) for kind in ("StoragePool", "Template") for n in manifests.names(objects, kind)}

    def ours(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: ours(item) for key, item in value.items()}
        if isinstance(value, list):
            return [ours(item) for item in value]
        return PATHS.get(value, names.get(value, value)) if isinstance(value, str) else value

    made = [ours(o) for o in manifests.rendered(objects, url=url, checksum=image.checksum)]
    for obj in made:
        if obj["kind"] in {"VirtualMachine", "Volume"}:
            obj["metadata"]["namespace"] = site.namespace
        if obj["kind"] == "StoragePool":
            obj["spec"]["allowedNamespaces"] = [site.namespace]
        if obj["kind"] == "VirtualMachine":
            obj["spec"] |= {"memory": "32Mi", "stopTimeoutSeconds": 1}
        if obj["kind"] == "Volume":
            # A wish, which the operator completes.
            obj["spec"]["placement"] = {"pool": names["standard"]}
    site.pools += [o["metadata"]["name"] for o in made if o["kind"] == "StoragePool"]
    site.templates += [o["metadata"]["name"] for o in made if o["kind"] == "Template"]
    return made


def kubectl(*arguments: str, objects: list[Obj]) -> subprocess.CompletedProcess[str]:
    text = yaml.safe_dump_all(objects)
    command = ["kubectl", *arguments, "-f", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=300, check=False)


def fields(tree: Obj, path: str = "") -> Iterator[str]:
    """Of managedFields: every field that is owned as a whole."""
    inner = {key: value for key, value in tree.items() if key != "."}
    if not inner:
        yield path
    for key, value in inner.items():
        yield from fields(value, f"{path}.{key.removeprefix('f:')}")


def owned_by_the_operator(obj: Obj) -> set[str]:
    """But for its status."""
    return {
        field.removeprefix(".")
        for entry in obj["metadata"]["managedFields"]
        if entry["manager"] == OPERATOR and entry.get("subresource") != "status"
        for field in fields(entry["fieldsV1"])
    }


def one_of_each(objects: list[Obj]) -> Iterator[Obj]:
    """As the server has them now, with their field managers."""
    for obj in objects:
        metadata = obj["metadata"]
        place = ["--namespace", metadata["namespace"]] if "namespace" in metadata else []
        command = ["kubectl", "get", "--show-managed-fields", "-o", "json", *place,
                   f"{obj['kind'].lower()}s.goldpool.io", metadata["name"]]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        yield json.loads(done.stdout)


@pytest.mark.parametrize("how", [(), ("--server-side", "--field-manager=gitops")], ids=["client", "server"])
def test_what_was_applied_differs_in_nothing_and_can_be_applied_again(
    site: Site, boot: Image, how: tuple[str, ...]
) -> None:
    objects = examples(site, boot)
    applied = kubectl("apply", *how, objects=objects)
    assert applied.returncode == 0, applied.stderr
    site.running("web-1", "db-1")

    diff = kubectl("diff", *how, objects=objects)
    assert diff.returncode == 0, diff.stdout + diff.stderr
    before = {o["metadata"]["uid"]: o["metadata"]["generation"] for o in one_of_each(objects)}
    again = kubectl("apply", *how, objects=objects)
    assert again.returncode == 0, again.stderr
    assert {o["metadata"]["uid"]: o["metadata"]["generation"] for o in one_of_each(objects)} == before

    for obj in one_of_each(objects):
        bound = BOUND if obj["kind"] == "Volume" else set()
        assert owned_by_the_operator(obj) == FINALIZER | bound, obj["kind"]

    machines = [o for o in objects if o["kind"] == "VirtualMachine"]
    for machine in machines:
        machine["spec"]["runStrategy"] = "Halted"
    assert kubectl("diff", *how, objects=objects).returncode == 1
    halted = kubectl("apply", *how, objects=objects)
    assert halted.returncode == 0, halted.stderr
    for machine in machines:
        site.phase(machine["metadata"]["name"], "Stopped")
    assert kubectl("diff", *how, objects=objects).returncode == 0
