"""What the operator may do: one table, from which the chart's roles are made.

No wildcards, no Secrets, and nothing in users' namespaces but their VirtualMachines, Volumes and events.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from goldpool.api.crds import KINDS
from goldpool.api.model import GROUP
from hack.generate import documents

READ: Final = ("get", "list", "watch")


class Where(StrEnum):
    """Where a right holds."""

    CLUSTER = "cluster"
    DATA_NAMESPACE = "data namespace"
    OWN_NAMESPACE = "own namespace"


@dataclass(frozen=True)
class Grant:
    """One line of the table; ``why`` becomes the comment above the rule."""

    where: Where
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str
    names: tuple[str, ...] = ()

    def rule(self) -> dict[str, Any]:
        """As a PolicyRule."""
        rule: dict[str, Any] = {"apiGroups": [self.group], "resources": list(self.resources)}
        if self.names:
            rule["resourceNames"] = list(self.names)
        return {**rule, "verbs": list(self.verbs)}


PLURALS: Final = tuple(kind.crd.plural for kind in KINDS)

OPERATOR: Final = (
    Grant(Where.CLUSTER, GROUP, PLURALS, (*READ, "patch", "update"),
          "finalizers, bindings and annotations of our own kinds"),
    Grant(Where.CLUSTER, GROUP, ("storagelocations", "parents", "volumes"), ("create", "delete"),
          "the kinds it makes; it never makes or deletes what only people write"),
    Grant(Where.CLUSTER, GROUP, ("volumes/binding",), ("create",),
          "no real subresource: the right that the admission policy asks for"),
    Grant(Where.CLUSTER, GROUP, ("storagelocations/abandon",), ("create",),
          "no real subresource either: a machine that was given up with its host takes its root volume along"),
    Grant(Where.CLUSTER, GROUP, tuple(f"{plural}/status" for plural in PLURALS), ("get", "patch", "update"),
          "each status has one writer, and this is it"),
    Grant(Where.CLUSTER, GROUP, tuple(f"{plural}/finalizers" for plural in PLURALS), ("update",),
          "ownerReferences with blockOwnerDeletion, where that admission plugin is on"),
    Grant(Where.CLUSTER, "", ("nodes",), READ, "hosts of pools, their readiness and taints"),
    Grant(Where.CLUSTER, "", ("namespaces",), ("get",), "the cluster's ID is the UID of kube-system"),
    Grant(Where.CLUSTER, "", ("persistentvolumes",), ("get", "create", "delete"), "NFS pools are mounted through them"),
    Grant(Where.CLUSTER, "apiextensions.k8s.io", ("customresourcedefinitions",), READ,
          "a terminating CRD releases finalizers and destroys nothing"),
    Grant(Where.CLUSTER, "events.k8s.io", ("events",), ("create", "patch"), "events beside the objects they tell of"),
    Grant(Where.DATA_NAMESPACE, "batch", ("jobs",), (*READ, "create", "delete", "patch"), "storage operations"),
    Grant(Where.DATA_NAMESPACE, "", ("pods",), (*READ, "create", "delete", "patch"),
          "machines, results of Jobs; patch releases the finalizer goldpool.io/stopped"),
    Grant(Where.DATA_NAMESPACE, "", ("pods/log",), ("get",), "progress of transfers"),
    Grant(Where.DATA_NAMESPACE, "", ("persistentvolumeclaims",), (*READ, "create", "delete"),
          "NFS pools are mounted through them"),
    Grant(Where.DATA_NAMESPACE, "coordination.k8s.io", ("leases",), (*READ, "create", "update", "patch", "delete"),
          "the claim on each disk in use"),
    Grant(Where.DATA_NAMESPACE, "events.k8s.io", ("events",), ("list",), "why a storage Job's pod does not start"),
    Grant(Where.OWN_NAMESPACE, "coordination.k8s.io", ("leases",), (*READ, "create", "update", "patch"),
          "leader election"),
)  # fmt: skip

_NAMES: Final = {
    Where.CLUSTER: ("ClusterRole", '{{ include "goldpool.fullname" . }}-operator', None),
    Where.DATA_NAMESPACE: ("Role", '{{ include "goldpool.fullname" . }}-storage', "{{ .Values.dataNamespace.name }}"),
    Where.OWN_NAMESPACE: ("Role", '{{ include "goldpool.fullname" . }}-leader', "{{ .Release.Namespace }}"),
}  # fmt: skip

_PEOPLE: Final = (
    # Aggregated roles: whoever may view or edit a namespace may do so with its machines.
    ("view", ("view", "edit", "admin"), READ, PLURALS),
    (
        "edit",
        ("edit", "admin"),
        (*READ, "create", "delete", "deletecollection", "patch", "update"),
        tuple(kind.crd.plural for kind in KINDS if kind.crd.namespaced),
    ),
)


def files() -> dict[str, str]:
    """Path below the repository's root to content."""
    operator = "---\n".join(_role(where) + "---\n" + _binding(where) for where in Where)
    people = "---\n".join(_aggregated(*row) for row in _PEOPLE)
    return {
        "charts/goldpool/templates/rbac.yaml": documents.template(operator),
        "charts/goldpool/templates/rbac-people.yaml": documents.template(
            "{{- if .Values.rbac.aggregate }}\n" + people + "{{- end }}\n"
        ),
    }


def rules(where: Where) -> list[dict[str, Any]]:
    """The PolicyRules that hold there."""
    return [grant.rule() for grant in OPERATOR if grant.where is where]


def _role(where: Where) -> str:
    head = _head(*_NAMES[where])
    grants = (grant for grant in OPERATOR if grant.where is where)
    return head + "rules:\n" + _rules(grants)


def _rules(grants: Iterable[Grant]) -> str:
    lines = []
    for grant in grants:
        lines.append(f"# {grant.why}")
        lines.append(documents.dump([grant.rule()]).rstrip("\n"))
    return "".join(f"  {line}\n" for block in lines for line in block.splitlines())


def _head(kind: str, name: str, namespace: str | None) -> str:
    lines = ["apiVersion: rbac.authorization.k8s.io/v1", f"kind: {kind}", "metadata:", f"  name: {name}"]
    if namespace:
        lines.append(f"  namespace: {namespace}")
    lines += ["  labels:", '    {{- include "goldpool.labels" . | nindent 4 }}']
    return "\n".join(lines) + "\n"


def _binding(where: Where) -> str:
    kind, name, namespace = _NAMES[where]
    return _head(f"{kind}Binding", name, namespace) + (
        "roleRef:\n"
        "  apiGroup: rbac.authorization.k8s.io\n"
        f"  kind: {kind}\n"
        f"  name: {name}\n"
        "subjects:\n"
        "  - kind: ServiceAccount\n"
        '    name: {{ include "goldpool.serviceAccountName" . }}\n'
        "    namespace: {{ .Release.Namespace }}\n"
    )


def _aggregated(name: str, into: tuple[str, ...], verbs: tuple[str, ...], resources: tuple[str, ...]) -> str:
    labels = "".join(f'    rbac.authorization.k8s.io/aggregate-to-{role}: "true"\n' for role in into)
    rule = Grant(Where.CLUSTER, GROUP, resources, verbs, f"who may {name} a namespace")
    head = _head("ClusterRole", f'{{{{ include "goldpool.fullname" . }}}}-{name}', None)
    return head + labels + "rules:\n" + _rules([rule])
