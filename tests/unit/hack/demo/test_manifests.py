"""The examples stay as they are; what the demo applies differs in the image and in a label."""

import copy

import pytest

from hack.demo import manifests
from hack.demo.journey import EXAMPLES


@pytest.fixture(scope="module")
def examples() -> list[manifests.Obj]:
    return manifests.read(EXAMPLES)


def test_the_template_names_the_served_image(examples: list[manifests.Obj]) -> None:
    objects = manifests.rendered(examples, url="http://198.18.0.1:1/demo.qcow2", checksum="sha256:ab")
    [template] = [obj for obj in objects if obj["kind"] == "Template"]
    assert template["spec"]["source"] == {"url": "http://198.18.0.1:1/demo.qcow2"}
    assert template["spec"]["checksum"] == "sha256:ab"


def test_nothing_else_changes(examples: list[manifests.Obj]) -> None:
    before = copy.deepcopy(examples)
    objects = manifests.rendered(examples, url="u", checksum="c")
    assert examples == before
    for example, obj in zip(examples, objects, strict=True):
        labels = obj["metadata"].pop("labels")
        assert labels.pop(manifests.PART_OF) == manifests.DEMO
        if example["kind"] != "Template":
            assert obj == {
                **example,
                "metadata": {k: v for k, v in example["metadata"].items() if k != "labels"},
            }


def test_names_carry_their_namespace(examples: list[manifests.Obj]) -> None:
    assert "team-a/web-1" in manifests.names(examples, "VirtualMachine")
    assert "golden-ssd" in manifests.names(examples, "StoragePool")


def test_pools_come_before_what_needs_them(examples: list[manifests.Obj]) -> None:
    kinds = [obj["kind"] for obj in examples]
    assert kinds.index("StoragePool") < kinds.index("Template") < kinds.index("VirtualMachine")
