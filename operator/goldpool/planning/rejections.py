"""Why a candidate lost: data first, text once, where the numbers are."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

from goldpool.planning.views import called

SENTENCE_LIMIT: Final = 1024
"""A condition's message holds no more (``api.references.Message``)."""


class RejectionReason(StrEnum):
    """Stable: they appear in ``status.rejections`` and people write alerts on them."""

    WRONG_POOL = "WrongPool"
    POOL_DISABLED = "PoolDisabled"
    NAMESPACE_NOT_ALLOWED = "NamespaceNotAllowed"
    LOCATION_NOT_READY = "LocationNotReady"
    HOST_NOT_READY = "HostNotReady"
    HOST_CORDONED = "HostCordoned"
    HOST_TAINTED = "HostTainted"
    NODE_SELECTOR_MISMATCH = "NodeSelectorMismatch"
    OUT_OF_REACH = "OutOfReach"
    WITHOUT_TAGS = "WithoutTags"
    AVOIDED = "Avoided"
    USED_LIMIT = "UsedLimit"
    ALLOCATED_LIMIT = "AllocatedLimit"
    IOPS = "Iops"
    NO_ROOM_FOR_PARENT = "NoRoomForParent"
    NO_GOLDEN_POOL = "NoGoldenPool"
    NO_ORDINARY_POOL = "NoOrdinaryPool"
    NOT_TOGETHER = "NotTogether"


_PHRASES: Final[dict[RejectionReason, tuple[str, str]]] = {
    RejectionReason.WRONG_POOL: ("is not in the pool that was asked for", "are not in the pool that was asked for"),
    RejectionReason.POOL_DISABLED: ("is in a pool that is not enabled", "are in pools that are not enabled"),
    RejectionReason.NAMESPACE_NOT_ALLOWED: ("does not serve the namespace", "do not serve the namespace"),
    RejectionReason.LOCATION_NOT_READY: ("is not ready", "are not ready"),
    RejectionReason.HOST_NOT_READY: ("is on a host that is not ready", "are on hosts that are not ready"),
    RejectionReason.HOST_CORDONED: ("is on a cordoned host", "are on cordoned hosts"),
    RejectionReason.HOST_TAINTED: ("is on a tainted host", "are on tainted hosts"),
    RejectionReason.NODE_SELECTOR_MISMATCH: ("does not match nodeSelector", "do not match nodeSelector"),
    RejectionReason.OUT_OF_REACH: ("is out of reach", "are out of reach"),
    RejectionReason.WITHOUT_TAGS: ("lacks a tag", "lack a tag"),
    RejectionReason.AVOIDED: ("failed this machine before", "failed this machine before"),
    RejectionReason.USED_LIMIT: ("is used above its limit", "are used above their limit"),
    RejectionReason.ALLOCATED_LIMIT: ("would promise more than its limit", "would promise more than their limit"),
    RejectionReason.IOPS: ("has too few IOPS left", "have too few IOPS left"),
    RejectionReason.NO_ROOM_FOR_PARENT: (
        "has no room for the template's parent",
        "have no room for the template's parent",
    ),
    RejectionReason.NO_GOLDEN_POOL: (
        "reaches no golden pool that can serve the template",
        "reach no golden pool that can serve the template",
    ),
    RejectionReason.NO_ORDINARY_POOL: (
        "is golden, but its hosts reach no ordinary pool that fits",
        "are golden, but their hosts reach no ordinary pool that fits",
    ),
    RejectionReason.NOT_TOGETHER: ("cannot take all disks together", "cannot take all disks together"),
}  # fmt: skip


REMEDIES: Final[dict[RejectionReason, str]] = {
    RejectionReason.WRONG_POOL: "change the volume's spec.placement, which names another pool",
    RejectionReason.POOL_DISABLED: "set the pool's spec.state to Enabled",
    RejectionReason.LOCATION_NOT_READY: "see kubectl describe gloc; planning goes on as soon as the location is ready",
    RejectionReason.NAMESPACE_NOT_ALLOWED: "add the namespace to the pool's spec.allowedNamespaces",
    RejectionReason.HOST_NOT_READY: "bring the node back, or label another one for the pool",
    RejectionReason.HOST_CORDONED: "kubectl uncordon the node",
    RejectionReason.HOST_TAINTED: "add the taint to spec.tolerations, or remove it from the node",
    RejectionReason.NODE_SELECTOR_MISMATCH: "change spec.nodeSelector, or label the node",
    RejectionReason.OUT_OF_REACH: "label a node so that it reaches all pools the machine needs",
    RejectionReason.WITHOUT_TAGS: "tag the pool, or ask for fewer poolTags",
    RejectionReason.AVOIDED: "set a new value of goldpool.io/retry on the machine, which clears status.avoid",
    RejectionReason.USED_LIMIT: "free space there, or raise the pool's capacity.usedLimitPercent",
    RejectionReason.ALLOCATED_LIMIT: "ask for less, delete volumes, or raise overprovisioningPercent or "
    "allocatedLimitPercent",
    RejectionReason.IOPS: "ask for fewer IOPS, or raise the pool's capacity.iops",
    RejectionReason.NO_ROOM_FOR_PARENT: "delete unused parents' templates, or give the golden pool more room",
    RejectionReason.NO_GOLDEN_POOL: "give these hosts a golden pool, or one that has room",
    RejectionReason.NO_ORDINARY_POOL: "give these hosts an ordinary pool that fits",
    RejectionReason.NOT_TOGETHER: "give one host room for all disks, or attach fewer",
}
"""What would change the answer, for a person."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One candidate's first objection. ``location`` is a location's name, or a host's where hosts are the candidates;
    ``detail`` names the place as people know it (pool on host) and carries the numbers."""

    location: str
    reason: RejectionReason
    detail: str


@dataclass(frozen=True)
class Unplaceable:
    """Every candidate lost, each once, sorted by name. ``disk`` is the disk the rejections are about, ``""`` for all;
    ``candidates`` is what they name: locations or hosts."""

    rejections: tuple[Rejection, ...]
    disk: str = ""
    candidates: str = "locations"
    fallback: bool = False
    """Asked for parents beside their children, after golden pools could not serve."""

    def counts(self) -> tuple[tuple[RejectionReason, int, str], ...]:
        """(reason, how many, detail of the first by name), most frequent first; ties in the order of the filters."""
        return self._counts

    @cached_property
    def _counts(self) -> tuple[tuple[RejectionReason, int, str], ...]:
        """Kept, because a remembered refusal of ten thousand locations is told to each machine that waits."""
        number: dict[RejectionReason, int] = {}
        examples: dict[RejectionReason, str] = {}
        for rejection in self.rejections:
            reason = rejection.reason
            if reason in number:
                number[reason] += 1
            else:
                number[reason], examples[reason] = 1, rejection.detail
        order = list(RejectionReason)
        return tuple(
            (reason, number[reason], examples[reason])
            for reason in sorted(number, key=lambda r: (-number[r], order.index(r)))
        )

    def sentence(self) -> str:
        """One sentence for a condition's message, at most 1,024 characters:
        ``0 of 2 locations fit disk root: 2 are used above their limit (ssd on node-1: 91 % used, limit 85 %)``."""
        number = len(self.rejections)
        noun = self.candidates.removesuffix("s") if number == 1 else self.candidates
        head = f"0 of {number} {noun} fit" + (f" {called(self.disk)}" if self.disk else "")
        head += ", nor with the parent beside the disk" if self.fallback else ""
        parts = [_part(*count) for count in self.counts()]
        text = f"{head}: {', '.join(parts)}" if parts else f"{head}: there is none to choose from"
        return text if len(text) <= SENTENCE_LIMIT else text[: SENTENCE_LIMIT - 1] + "…"


def _part(reason: RejectionReason, number: int, example: str) -> str:
    singular, plural = _PHRASES[reason]
    return f"{number} {singular if number == 1 else plural}" + (f" ({example})" if example else "")
