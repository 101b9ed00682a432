"""The chart on a real server: it takes every object, and the admission policy guards what a Volume's disk is."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.api.builders import NAMESPACE, RUN, a_volume
from tests.cluster.api.server import Answer, Obj, Server, kubectl
from tests.unit.chart.helm import template
from tests.unit.chart.test_chart import VALUE_SETS

NAME = f"api-test-{RUN}"
TENANT, RESTORER = f"tenant-{RUN}", f"restorer-{RUN}"
REFUSED = "spec.storageID and spec.placement.volumeUID are set by the operator"
OURS = {
    "fullnameOverride": NAME,
    "crds": {"enabled": False},
    "dataNamespace": {"name": NAMESPACE, "create": False},
}
BINDING: Obj = {"placement": {"pool": "a", "host": "h"}, "storageID": "v-abcdefgh"}

Store = Callable[[Obj], Obj]


def dumped(documents: list[Obj]) -> str:
    return yaml.safe_dump_all(documents)


@pytest.fixture(scope="module")
def monitoring(server: Server) -> Iterator[None]:
    """The Prometheus operator's kinds are known, as far as the chart uses them."""
    definitions = (Path(__file__).parent / "monitoring.yaml").read_text(encoding="utf-8")
    names = [document["metadata"]["name"] for document in yaml.safe_load_all(definitions)]
    known = kubectl("get", "crd", "-o", "name")
    ours = not any(name in known for name in names)
    if ours:
        kubectl("create", "-f", "-", stdin=definitions)
        kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", *names)
    yield
    if ours:
        kubectl("delete", "--wait=false", "crd", *names)


def laid_over(values: Obj, over: Obj) -> Obj:
    """``over`` wins, key by key."""
    merged = dict(values)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = laid_over(merged[name], value) if both else value
    return merged


@pytest.mark.parametrize(
    "name",
    ["defaults", "no standby", "images", "placed", "spread", "watched", "watched by pods", "restricted", "cut off",
     "foreign classes", "everything off"],
)  # fmt: skip
def test_the_server_takes_every_object_of_the_chart(server: Server, monitoring: None, name: str) -> None:
    # Into namespaces that are there.
    values = laid_over(VALUE_SETS[name], OURS | {"metrics": {"dashboard": {"namespace": ""}}})
    documents = template(values, namespace="default")
    assert documents
    kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=dumped(documents)
    )


def a_role(user: str, resources: list[str], verbs: list[str]) -> list[Obj]:
    meta = {"name": user, "namespace": NAMESPACE}
    role = "rbac.authorization.k8s.io"
    rule = {"apiGroups": ["goldpool.io"], "resources": resources, "verbs": verbs}
    return [
        {"apiVersion": f"{role}/v1", "kind": "Role", "metadata": meta, "rules": [rule]},
        {
            "apiVersion": f"{role}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": role, "kind": "Role", "name": user},
            "subjects": [{"apiGroup": role, "kind": "User", "name": user}],
        },
    ]


@pytest.fixture(scope="module")
def tenant(server: Server) -> Iterator[Server]:
    """Somebody who may edit Volumes, under the chart's admission policy."""
    policy = [d for d in template(OURS) if d["kind"].startswith("ValidatingAdmission")]
    documents = [
        *policy,
        *a_role(TENANT, ["volumes"], ["create", "patch"]),
        *a_role(RESTORER, ["volumes", "volumes/binding"], ["create", "patch"]),
    ]
    kubectl("apply", "-f", "-", stdin=dumped(documents))
    user = Server(TENANT)
    deadline = time.monotonic() + 30
    while user.create(a_volume(**BINDING), dry=True).ok or not user.create(a_volume(), dry=True).ok:
        assert time.monotonic() < deadline, "the policy does not bite"
        time.sleep(0.2)
    yield user
    kubectl("delete", "-f", "-", "--wait=false", stdin=dumped(documents))


def refused(answer: Answer) -> bool:
    assert answer.ok or REFUSED in answer.text, answer.text
    assert answer.ok or answer.status == 403
    return not answer.ok


@pytest.mark.parametrize(
    ("spec", "is_refused"),
    [
        ({}, False),
        ({"placement": {"pool": "a", "host": "h", "parentPool": "g"}}, False),  # a wish
        (BINDING, True),
        ({"placement": {"pool": "a", "volumeUID": "u"}}, True),
    ],
)
def test_a_tenant_may_wish_for_a_place_but_not_name_a_disk(
    tenant: Server, spec: Obj, is_refused: bool
) -> None:
    assert refused(tenant.create(a_volume(**spec), dry=True)) is is_refused


@pytest.mark.parametrize(
    ("before", "patch", "is_refused"),
    [
        ({}, {"placement": {"pool": "a"}}, False),
        ({}, BINDING, True),
        ({"placement": {"pool": "a"}}, {"placement": {"volumeUID": "u"}}, True),
        (BINDING, {"reclaimPolicy": "Retain"}, False),
        (BINDING, {"storageID": "v-hgfedcba"}, True),
        (BINDING, {"storageID": None}, True),
        (BINDING, {"placement": {"host": "other"}}, True),
        (BINDING, {"placement": {"volumeUID": "u"}}, True),
    ],
)
def test_a_tenant_may_not_change_a_binding(
    tenant: Server, stored: Store, before: Obj, patch: Obj, is_refused: bool
) -> None:
    volume = a_volume(**before)
    stored(volume)
    assert refused(tenant.patch(volume, {"spec": patch})) is is_refused


def test_who_may_create_bindings_can_restore(tenant: Server) -> None:
    assert not refused(Server(RESTORER).create(a_volume(**BINDING), dry=True))
