"""The chart's pre-delete hook: Goldpool does not go while it is needed.

Without the operator nobody stops a machine cleanly, nobody frees a disk, and an object that holds one of its finalizers
cannot be deleted. Helm removes nothing when this program fails.
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from goldpool.kube import resources as r
from goldpool.kube.client import KubeClient
from goldpool.kube.config import load_configuration
from goldpool.kube.port import KubeApi, KubeError, NotFound, Resource

REFUSED: Final = 3
"""The exit code that trying again cannot change."""
TENANTS_KINDS: Final = (r.VOLUME, r.VIRTUAL_MACHINE)
_NAMESPACES_NAMED: Final = 10


@dataclass(frozen=True)
class Remaining:
    """How many objects there are: of tenants' kinds by namespace, of the others in all. Zeros are left out."""

    tenants: Mapping[Resource, Mapping[str, int]]
    others: Mapping[Resource, int]


async def remaining(kube: KubeApi) -> Remaining:
    """Asked of the API server itself. A kind whose CRD is gone has no objects. Raises KubeError."""
    tenants: dict[Resource, Mapping[str, int]] = {}
    others: dict[Resource, int] = {}
    for resource in r.PRIMARY:
        try:
            found = await kube.list(resource)
        except NotFound:
            continue
        if found and resource in TENANTS_KINDS:
            tenants[resource] = Counter(obj["metadata"]["namespace"] for obj in found)
        elif found:
            others[resource] = len(found)
    return Remaining(tenants, others)


def blocking(found: Remaining, *, crds_kept: bool) -> list[str]:
    """What forbids to go, one line per kind; empty when nothing does.

    With the CRDs every object of theirs is deleted, and a pool or a template that still has its finalizer would hold up
    its CRD for ever.
    """
    lines = [f"{_counted(kind, sum(by.values()))} ({_where(by)})" for kind, by in found.tenants.items()]
    if not crds_kept:
        lines += [_counted(kind, count) for kind, count in found.others.items()]
    return lines


@dataclass(frozen=True)
class Release:
    """Which of Helm's releases was to go."""

    name: str
    namespace: str
    revision: str


def refusal(lines: Sequence[str], release: Release) -> str:
    """What the person who typed `helm uninstall` should know and do.

    Helm has recorded the release as uninstalling before it ran this hook, and upgrades no such release.
    """
    return "\n".join(
        [
            "Goldpool is not uninstalled, and nothing was removed. There are still:",
            *(f"  {line}" for line in lines),
            "Without the operator no machine stops cleanly, no disk is freed and none of these can be deleted.",
            "Either delete them (kubectl get goldpool -A shows them all) and uninstall again,",
            "or leave them as they are, machines running, until Goldpool is installed again:",
            f"  helm uninstall {release.name} --namespace {release.namespace} --no-hooks",
            "Helm now calls the release uninstalling and will not upgrade it. If it is to stay:",
            f"  helm rollback {release.name} {release.revision} --namespace {release.namespace}",
        ]
    )


def _counted(kind: Resource, count: int) -> str:
    return f"{count} {kind.kind if count == 1 else kind.kind + 's'}"


def _where(by_namespace: Mapping[str, int]) -> str:
    first = sorted(by_namespace.items(), key=lambda item: (-item[1], item[0]))[:_NAMESPACES_NAMED]
    more = len(by_namespace) - len(first)
    named = ", ".join(f"{count} in {namespace}" for namespace, count in first)
    return f"{named} and {more} more namespaces" if more else named


async def _ask() -> int:
    async with KubeClient(await load_configuration()) as client:
        found = await remaining(client)
    lines = blocking(found, crds_kept=os.environ["CRDS_KEPT"] == "true")
    if lines:
        of = os.environ
        print(refusal(lines, Release(of["RELEASE"], of["NAMESPACE"], of["REVISION"])))
        return REFUSED
    kept = ", ".join(_counted(kind, count) for kind, count in found.others.items())
    print(f"nothing holds Goldpool here{'; these stay: ' + kept if kept else ''}")
    return 0


def main() -> int:
    """0 when the chart may go, REFUSED when not, 1 when the API server did not say."""
    try:
        return asyncio.run(_ask())
    except KubeError as error:
        print(f"Goldpool is not uninstalled: what is left of it could not be listed: {error.message}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
