"""Who may give up a host or a disk for good: the chart's admission policy on a real server."""

import time
from collections.abc import Callable, Iterator

import pytest
import yaml

from tests.cluster.api.builders import NAMESPACE, RUN, a_location, a_machine, a_parent, a_volume
from tests.cluster.api.server import Obj, Server, kubectl
from tests.unit.chart.helm import template

NAME = f"abandon-test-{RUN}"
TENANT, KEEPER = f"abandon-tenant-{RUN}", f"abandon-keeper-{RUN}"
VALUES = {
    "fullnameOverride": NAME,
    "crds": {"enabled": False},
    "dataNamespace": {"name": NAMESPACE, "create": False},
}
KINDS = ["virtualmachines", "volumes", "parents", "storagelocations"]
GIVEN_UP = {"goldpool.io/abandon": "node-1"}


def a_role(user: str, resources: list[str]) -> list[Obj]:
    role, meta = "rbac.authorization.k8s.io", {"name": user}
    rule = {"apiGroups": ["goldpool.io"], "resources": resources, "verbs": ["create", "patch"]}
    return [
        {"apiVersion": f"{role}/v1", "kind": "ClusterRole", "metadata": meta, "rules": [rule]},
        {
            "apiVersion": f"{role}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": role, "kind": "ClusterRole", "name": user},
            "subjects": [{"apiGroup": role, "kind": "User", "name": user}],
        },
    ]


def annotated(obj: Obj, annotations: Obj) -> Obj:
    return obj | {"metadata": obj["metadata"] | {"annotations": annotations}}


@pytest.fixture(scope="module")
def tenant(server: Server) -> Iterator[Server]:
    """Somebody who may write every kind, under the policy."""
    made = template(VALUES)
    policy = [
        d
        for d in made
        if d["kind"].startswith("ValidatingAdmission") and d["metadata"]["name"].endswith("-abandon")
    ]
    assert len(policy) == 2
    documents = [*policy, *a_role(TENANT, KINDS), *a_role(KEEPER, [*KINDS, "storagelocations/abandon"])]
    stdin = yaml.safe_dump_all(documents)
    kubectl("apply", "-f", "-", stdin=stdin)
    user = Server(TENANT)
    deadline = time.monotonic() + 30
    while (
        user.create(annotated(a_volume(), GIVEN_UP), dry=True).ok or not user.create(a_volume(), dry=True).ok
    ):
        assert time.monotonic() < deadline, "the policy does not bite"
        time.sleep(0.2)
    yield user
    kubectl("delete", "-f", "-", "--wait=false", stdin=stdin)


@pytest.mark.parametrize("build", [a_machine, a_volume, a_parent, a_location])
@pytest.mark.parametrize(
    ("annotations", "needs_the_right"),
    [({}, False), ({"goldpool.io/retry": "1"}, False), (GIVEN_UP, True), ({"goldpool.io/abandon": ""}, True)],
)
def test_only_who_may_give_up_places_may_set_the_annotation(
    tenant: Server, build: Callable[[], Obj], annotations: Obj, needs_the_right: bool
) -> None:
    obj = annotated(build(), annotations)
    answer = tenant.create(obj, dry=True)
    assert answer.ok is not needs_the_right, answer.text
    if needs_the_right:
        assert answer.status == 403
        assert "create storagelocations/abandon" in answer.text
    assert Server(KEEPER).create(obj, dry=True).ok


@pytest.mark.parametrize(
    ("before", "after", "is_refused"),
    [
        ({}, {"goldpool.io/abandon": "node-1"}, True),
        (GIVEN_UP, {"goldpool.io/abandon": "node-2"}, True),
        (GIVEN_UP, {"goldpool.io/abandon": None}, False),
        (GIVEN_UP, {"goldpool.io/retry": "1"}, False),
    ],
    ids=["set", "change", "take back", "another"],
)
def test_whoever_may_write_an_object_may_take_it_back(
    tenant: Server, stored: Callable[[Obj], Obj], before: Obj, after: Obj, is_refused: bool
) -> None:
    volume = annotated(a_volume(), before)
    stored(volume)
    answer = tenant.patch(volume, {"metadata": {"annotations": after}})
    assert answer.ok is not is_refused, answer.text
