"""The status of a pass while it is being decided: what was, plus what this pass found."""

from typing import Any, Final, Self

from goldpool.api.virtualmachine import Avoided, PodRef, VirtualMachineStatus
from goldpool.controllers.naming import RETRY_ANNOTATION
from goldpool.controllers.verdict import Verdict, conditions
from goldpool.controllers.virtualmachine.observed import DiskView, Observed
from goldpool.controllers.virtualmachine.pod import tied_host

SAID_BY_VOLUMES_SECONDS: Final = 1.0
"""A volume is bound as soon as it is there, and then says that its disk is made: which is what the machine says then. What
comes milliseconds before need not be said."""


class Draft:
    """Starts from the recorded status. A changed spec or a new value of the retry annotation clears the avoid set
    and the count of plans: what failed before may work now."""

    def __init__(self, o: Observed, fields: dict[str, Any], *, reset: bool) -> None:
        self._o = o
        self._fields = fields
        self.reset = reset
        """This pass cleared the avoid set, and planning has not seen that yet."""

    @classmethod
    def of(cls, o: Observed) -> Self:
        status = o.machine.status
        retry = o.machine.metadata.annotations.get(RETRY_ANNOTATION)
        generation = o.machine.metadata.generation
        again = retry != status.retry or (status.planned_generation not in {None, generation})
        had_failed = bool(status.avoid or status.plans)
        fields: dict[str, Any] = {"retry": retry, "planned_generation": generation}
        if again:
            fields |= {"avoid": [], "plans": None}
            if retry != status.retry:
                fields |= {"restarts": None}
        if o.machine.status.iso is not None and o.iso is None:
            fields |= {"iso": None}
        failing = any(d.volume is not None and d.volume.status.failure is not None for d in o.disks)
        return cls(o, fields, reset=again and (had_failed or failing))

    def get(self, name: str) -> Any:
        return self._fields[name] if name in self._fields else getattr(self._o.machine.status, name)

    def set(self, **fields: Any) -> None:
        self._fields |= fields

    def may_be_left_out(self) -> bool:
        """Whether the next pass finds all of this again: the draft counts nothing and forgets nothing."""
        before = self._o.machine.status
        found_again = {
            "retry",
            "planned_generation",
        }  # what they differ from decides in the next pass as in this one
        return not self.reset and all(
            getattr(before, name) == value for name, value in self._fields.items() if name not in found_again
        )

    def may_stay_silent(self) -> bool:
        """The same, of a machine that has not said anything yet: nothing old stays to be read meanwhile."""
        return not self._o.machine.status.conditions and self.may_be_left_out()

    def avoid(self, entry: Avoided) -> None:
        """Adds the place once, and counts the plan that failed."""
        entries: list[Avoided] = list(self.get("avoid"))
        if any(e.location == entry.location for e in entries):
            return
        self.set(avoid=[*entries, entry][-64:], plans=(self.get("plans") or 0) + 1)

    def failed_start(self, entry: Avoided) -> None:
        """Counts the plan also when the place is known: a machine that can go nowhere else must not try for ever."""
        entries = [e for e in self.get("avoid") if e.location != entry.location]
        self.set(avoid=[*entries, entry][-64:], plans=(self.get("plans") or 0) + 1)

    def counts_end_of(self, pod: dict[str, Any]) -> bool:
        """Whether this pod's end was not recorded by an earlier pass that could not finish."""
        return self._o.machine.status.ended is None or self.is_new(pod)

    def is_new(self, pod: dict[str, Any]) -> bool:
        """No earlier pass recorded this pod."""
        recorded = self._o.machine.status.pod_ref
        return recorded is None or recorded.uid != pod["metadata"]["uid"]

    def status(self, verdict: Verdict, phase: str) -> dict[str, Any]:
        o, before = self._o, self._o.machine.status
        spec = o.machine.spec.root_volume
        root = o.root.volume
        placement = root.spec.placement if root else None
        bound = root is not None and root.spec.storage_id is not None
        pod = o.pod
        found = VirtualMachineStatus(
            conditions=conditions(
                verdict, previous=before.conditions, generation=o.machine.metadata.generation, now=o.now
            )
        )
        return before.model_copy(
            update={
                "observed_generation": o.machine.metadata.generation,
                "phase": "Terminating" if o.machine.deleting else phase,
                "conditions": found.conditions,
                "pod_ref": PodRef(
                    namespace=pod["metadata"]["namespace"],
                    name=pod["metadata"]["name"],
                    uid=pod["metadata"]["uid"],
                )
                if pod is not None
                else None,
                "host": (pod or {}).get("spec", {}).get("nodeName") or tied_host(o) or None,
                "template": spec.template_ref.name
                if spec.template_ref
                else (
                    root.spec.source.template_ref.name
                    if root and root.spec.source and root.spec.source.template_ref
                    else None
                ),
                "root_volume": o.root.volume_name,
                "root_pool": placement.pool if placement and bound else None,
                "golden_pool": placement.parent_pool
                if placement and bound and placement.parent_pool != placement.pool
                else None,
                "fallback_pool": _fallback_pool(o.root),
                **self._fields,
            }
        ).to_dict()


def _fallback_pool(root: DiskView) -> str | None:
    """A golden template's parent belongs on another pool than its child: beside it, it is a fallback."""
    place = root.volume.spec.placement if root.volume is not None and root.volume.spec.storage_id else None
    if place is None or root.template is None or not root.template.spec.golden:
        return None
    return place.pool if place.parent_pool == place.pool else None
