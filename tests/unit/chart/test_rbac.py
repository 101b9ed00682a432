"""The operator's rights: every kind it touches, nothing by wildcard, nothing it has no use for."""

import pytest

from goldpool.api.model import GROUP
from goldpool.kube import resources
from goldpool.kube.port import Resource
from hack.generate.rbac import OPERATOR, Grant, Where

TOUCHED = [value for value in vars(resources).values() if isinstance(value, Resource)]


def grants_of(resource: Resource) -> list[Grant]:
    return [
        grant for grant in OPERATOR if grant.group == resource.group and resource.plural in grant.resources
    ]


def verbs(where: Where, group: str, resource: str) -> set[str]:
    return {
        verb
        for grant in OPERATOR
        if grant.where is where and grant.group == group and resource in grant.resources
        for verb in grant.verbs
    }


@pytest.mark.parametrize("resource", TOUCHED, ids=lambda resource: resource.plural)
def test_every_kind_the_operator_touches_is_in_the_table(resource: Resource) -> None:
    assert grants_of(resource)


def test_the_table_names_no_kind_that_the_operator_does_not_touch() -> None:
    known = {(resource.group, resource.plural) for resource in TOUCHED}
    assert {(grant.group, name.partition("/")[0]) for grant in OPERATOR for name in grant.resources} <= known


def test_there_are_no_wildcards_and_no_secrets() -> None:
    for grant in OPERATOR:
        assert "*" not in (grant.group, *grant.resources, *grant.verbs)
        assert not {"secrets", "configmaps", "pods/exec", "serviceaccounts/token"} & {*grant.resources}
        assert not {"escalate", "bind", "impersonate", "deletecollection"} & {*grant.verbs}


def test_every_line_says_why() -> None:
    assert all(grant.why for grant in OPERATOR)


@pytest.mark.parametrize("resource", resources.PRIMARY, ids=lambda resource: resource.plural)
def test_it_reads_its_own_kinds_and_writes_their_status(resource: Resource) -> None:
    assert verbs(Where.CLUSTER, GROUP, resource.plural) >= {"get", "list", "watch", "patch", "update"}
    assert verbs(Where.CLUSTER, GROUP, f"{resource.plural}/status") == {"get", "patch", "update"}
    assert verbs(Where.CLUSTER, GROUP, f"{resource.plural}/finalizers") == {"update"}


@pytest.mark.parametrize("plural", ["storagepools", "templates", "virtualmachines"])
def test_it_neither_makes_nor_deletes_what_only_people_write(plural: str) -> None:
    assert not {"create", "delete"} & verbs(Where.CLUSTER, GROUP, plural)


@pytest.mark.parametrize(
    "group_and_resource", [("", "pods"), ("batch", "jobs"), ("", "persistentvolumeclaims")]
)
def test_workloads_are_the_data_namespaces_alone(group_and_resource: tuple[str, str]) -> None:
    assert verbs(Where.DATA_NAMESPACE, *group_and_resource) >= {"get", "list", "create", "delete"}
    assert not verbs(Where.CLUSTER, *group_and_resource)
    assert not verbs(Where.OWN_NAMESPACE, *group_and_resource)


def test_leases_are_held_in_both_namespaces_and_nowhere_else() -> None:
    for where in (Where.DATA_NAMESPACE, Where.OWN_NAMESPACE):
        assert verbs(where, "coordination.k8s.io", "leases") >= {"get", "create", "update"}
    assert not verbs(Where.CLUSTER, "coordination.k8s.io", "leases")
