"""Jobs as they are posted: compared with files that people read, and by rule."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldpool.contracts.operations import BATCH_ENV, Batch, Fetch, Operation, ProbeSource
from goldpool.dispatch import manifest, record
from goldpool.dispatch.alone import kind_of, name_of
from goldpool.dispatch.record import JobRecord, lane_of, recorded
from goldpool.dispatch.request import Request
from goldpool.dispatch.settings import DispatchSettings
from tests.unit.dispatch.builders import (
    a_blank,
    a_child,
    a_deletion,
    a_fetch,
    a_parent_deletion,
    a_probe,
    a_request,
    a_source_probe,
    an_adoption,
    an_initialization,
)

GOLDEN = Path(__file__).parent / "golden"
SETTINGS = DispatchSettings(image="goldpool-worker:test")


def a_record(requests: list[Request]) -> JobRecord:
    lane = lane_of(requests[0])
    name = record.slot_names(lane)[0]
    kind = kind_of(requests[0].operation)
    return JobRecord(name, kind, lane, tuple(recorded(request) for request in requests))


def a_job(*operations: Operation, **request: Any) -> dict[str, Any]:
    requests = [a_request(operation, **request) for operation in operations]
    return manifest.job(a_record(requests), requests, SETTINGS)


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    spec = job["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


@pytest.mark.parametrize(
    ("name", "job"),
    [
        ("batch", a_job(a_child("v-1"), a_blank("v-2"))),
        ("initialize", a_job(an_initialization())),
        ("fetch", a_job(a_fetch())),
        ("deletions", a_job(a_deletion(), a_parent_deletion("p-9"), tolerations=({"key": "storage"},))),
        ("probe", a_job(a_probe())),
        ("adoption", a_job(an_adoption())),
        ("source-probe", a_job(a_source_probe())),
    ],
)
def test_a_job_is_the_golden_one(name: str, job: dict[str, Any]) -> None:
    """After a wanted change: write ``json.dumps(job, indent=2)`` and a newline to the file, and read the diff."""
    assert json.dumps(job, indent=2) + "\n" == (GOLDEN / f"{name}.json").read_text()


@pytest.mark.parametrize(
    ("operations", "tolerated"),
    [
        ([a_probe()], True),
        ([a_deletion(), a_parent_deletion()], True),
        ([a_blank()], False),
        ([a_fetch()], False),
        ([a_source_probe()], False),
        ([an_initialization()], False),
    ],
)
def test_only_tidying_and_looking_go_to_a_cordoned_host(operations: list[Operation], tolerated: bool) -> None:
    assert (manifest.CORDONED in pod_of(a_job(*operations))["tolerations"]) is tolerated


@pytest.mark.parametrize(
    ("operation", "user", "added"),
    [
        (an_initialization(), 0, ["CHOWN", "DAC_OVERRIDE", "FOWNER"]),
        (a_blank(), 107, None),
        (a_probe(), 107, None),
    ],
)
def test_only_initialisation_is_root(operation: Operation, user: int, added: list[str] | None) -> None:
    pod = pod_of(a_job(operation))
    security = pod["containers"][0]["securityContext"]
    assert (pod["securityContext"]["runAsUser"], security["capabilities"].get("add")) == (user, added)
    assert security["capabilities"]["drop"] == ["ALL"]


def test_a_probe_cannot_write() -> None:
    mounts = [pod_of(a_job(op))["containers"][0]["volumeMounts"][0] for op in (a_probe(), a_deletion())]
    assert [mount.get("readOnly", False) for mount in mounts] == [True, False]


@pytest.mark.parametrize("operation", [a_fetch(), a_source_probe()], ids=["fetch", "probe"])
def test_a_sources_secret_is_a_file_of_the_job_and_nothing_else_of_it(operation: Fetch | ProbeSource) -> None:
    source = operation.source.replace(secret="login", ca_bundle="our-ca", ca_key="root.pem")
    job = a_job(operation.replace(source=source))
    pod = pod_of(job)
    [container] = pod["containers"]
    assert pod["volumes"][-2:] == [
        {"name": "credentials", "secret": {"secretName": "login", "optional": True}},
        {
            "name": "ca",
            "configMap": {
                "name": "our-ca",
                "items": [{"key": "root.pem", "path": "ca.crt"}],
                "optional": True,
            },
        },
    ]
    assert container["volumeMounts"][-2:] == [
        {"name": "credentials", "mountPath": "/source/credentials", "readOnly": True},
        {"name": "ca", "mountPath": "/source/ca", "readOnly": True},
    ]
    assert [entry["name"] for entry in container["env"]] == [BATCH_ENV]
    assert not {"envFrom", "args"} & container.keys()


def test_a_job_without_a_source_mounts_no_secret() -> None:
    for operation in (a_fetch(), a_source_probe(), a_blank(), an_initialization(), a_probe()):
        assert not [v for v in pod_of(a_job(operation))["volumes"] if {"secret", "configMap"} & v.keys()]


def test_a_transfer_has_its_own_time_on_top() -> None:
    limits = [pod_of(a_job(operation))["activeDeadlineSeconds"] for operation in (a_blank(), a_fetch())]
    assert limits == [600, 600 + 10800]


def test_asking_a_source_takes_no_pool_along_and_little_time() -> None:
    job = a_job(a_source_probe())
    pod = pod_of(job)
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]
    assert record.LOCATION_LABEL not in job["metadata"]["labels"]
    assert pod["activeDeadlineSeconds"] == 60 + 20
    environment = pod["containers"][0]["env"][0]["value"]
    assert Batch.from_json(environment).identities == ()


def expanded(value: str) -> str:
    """What the kubelet makes of an environment value, with no variables to refer to (expand.go)."""
    return re.sub(r"\$(\$|\(([^)]*)\))", lambda match: "$" if match[1] == "$" else match[0], value)


@settings(deadline=None)
@given(st.text('$()AB/\\"é', max_size=30))
def test_the_kubelet_cannot_change_a_batch(text: str) -> None:
    request = a_request(a_fetch(url=f"https://mirror.example/{text}"))
    value = manifest.batch_json([request])
    assert Batch.from_json(expanded(value)).operations == (request.operation,)
    assert len(value.encode()) >= manifest.size_of(request.operation)


@pytest.mark.parametrize("location", ["loc-1", "l" + "x" * 250])
def test_a_job_tells_what_it_carries(location: str) -> None:
    requests = [a_request(a_child("v-1", location=location)), a_request(a_deletion("v-2", location))]
    wanted = a_record(requests)
    job = manifest.job(wanted, requests, SETTINGS)
    assert record.read_record(job) == wanted
    assert all(len(value) <= 63 for value in job["metadata"]["labels"].values())


@pytest.mark.parametrize(
    ("operation", "name", "uses"),
    [
        (a_child("v-1", "p-1"), "p-1", True),
        (a_child("v-1", "p-1"), "v-1", True),
        (a_child("v-1", "p-1"), "p-2", False),
        (a_fetch("p-1"), "p-1", True),
        (a_parent_deletion("p-1"), "p-1", False),  # a deleter must not find itself
        (a_parent_deletion("p-1", "loc-1"), "loc-1", True),
        (a_deletion("v-1"), "v-1", False),
        (a_probe("loc-1"), "loc-1", False),
    ],
)
def test_who_uses_a_name(operation: Operation, name: str, uses: bool) -> None:
    assert recorded(a_request(operation)).uses(name) is uses


@pytest.mark.parametrize("parent", ["debian-12.1-abc", "p" * 253, "a.b"])
def test_a_fetchs_name_is_a_label_and_its_own(parent: str) -> None:
    names = [name_of(a_fetch(parent, attempt=attempt)) for attempt in (1, 1, 2)]
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) for name in names)
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    "metadata",
    [{}, {"annotations": {}}, {"annotations": {record.PLACE: "[]", record.OPERATIONS: "[]"}, "labels": {}},
     {"annotations": {record.PLACE: "no json"}}],
)  # fmt: skip
def test_a_job_of_somebody_else_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        record.read_record({"metadata": {"name": "other", **metadata}})


@pytest.mark.parametrize("given", ["", "goldpool-storage"])
def test_a_job_has_the_priority_class_that_is_set(given: str) -> None:
    requests = [a_request(a_probe())]
    job = manifest.job(a_record(requests), requests, replace(SETTINGS, priority_class=given))
    assert pod_of(job).get("priorityClassName", "") == given
