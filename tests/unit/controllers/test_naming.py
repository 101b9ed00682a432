"""Names that are the same again for the same thing, and another for another."""

import re

import pytest

from goldpool.controllers.naming import OperationIds, lease_name, pod_name, source_hash
from goldpool.planning.identity import digest, location_name
from tests.unit.controllers.builders import SOURCE_HASH, a_template

DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")


def test_the_same_pool_on_the_same_host_is_the_same_location() -> None:
    assert location_name("std-a", "u1", "node-1") == location_name("std-a", "u1", "node-1")


@pytest.mark.parametrize("other", [("std-a", "u2", "node-1"), ("std-a", "u1", "node-2"), ("std-a", "u1", "")])
def test_a_recreated_pool_or_another_host_is_another_location(other: tuple[str, str, str]) -> None:
    assert location_name(*other) != location_name("std-a", "u1", "node-1")


def test_parts_cannot_run_into_each_other() -> None:
    assert digest("ab", "c") != digest("a", "bc")


@pytest.mark.parametrize("name", ["p", "p" * 40])
def test_derived_names_are_dns_labels(name: str) -> None:
    for made in (location_name(name, "u", "n"), pod_name(name, "u"), pod_name(name * 2, "u")):
        assert DNS_LABEL.match(made)
        assert len(made) <= 63


def test_a_recreated_machine_has_another_pod() -> None:
    assert pod_name("web-1", "u1") != pod_name("web-1", "u2")


def test_a_recreated_volume_has_another_lease() -> None:
    assert lease_name("u1") != lease_name("u2")


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"source": {"url": "https://other.example/debian-12.qcow2"}}, False),
        ({"source": {"url": "https://mirror.example/debian-12.qcow2", "metalink": True}}, False),
        ({"source": {"url": "https://mirror.example/debian-12.qcow2", "file": "debian-12.qcow2"}}, False),
        ({"format": "raw"}, False),
        ({"checksum": "md5:" + "a" * 32}, False),
        ({"retention": "2h"}, True),
        ({"prepare": {"pools": ["golden-ssd"]}}, True),
    ],
)
def test_the_source_hash_is_about_what_decides_the_bytes(changed: dict[str, object], same: bool) -> None:
    assert (source_hash(a_template(spec=changed)["spec"]) == SOURCE_HASH) is same


def test_each_attempt_is_an_operation_of_its_own() -> None:
    for ids in (OperationIds.fetch, OperationIds.create, OperationIds.initialize):
        assert ids("x", 1) != ids("x", 2)


def test_different_work_on_one_name_never_shares_an_id() -> None:
    ids = [OperationIds.initialize("x", 1), OperationIds.probe("x", "1"), OperationIds.rebind("x", "1")]
    ids += [OperationIds.release("x"), OperationIds.fetch("x", 1), OperationIds.delete_parent("x")]
    ids += [OperationIds.create("x", 1), OperationIds.delete_volume("x")]
    assert len(set(ids)) == len(ids)
