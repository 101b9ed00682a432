"""Which operations may not be in flight together, and which need a Job of a special make."""

from dataclasses import dataclass

from goldpool.contracts.operations import (
    Adopt,
    CreateBlank,
    CreateChild,
    DeleteParent,
    DeleteVolume,
    Fetch,
    Initialize,
    Operation,
    Probe,
    ProbeSource,
    Rebind,
    Release,
)


@dataclass(frozen=True, slots=True)
class Claims:
    """Names on disk: ``holds`` excludes every other claim on a name, ``reads`` excludes only holders."""

    holds: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()

    def conflict_with(self, other: "Claims") -> bool:
        return bool(self.holds & other.holds or self.holds & other.reads or self.reads & other.holds)


def claims_of(operation: Operation) -> Claims:
    """Many children of one parent may be made at once; none while the parent is fetched or deleted. Whatever works in
    a location excludes what gives the location its identity or takes it away."""
    if isinstance(operation, ProbeSource):
        return Claims()
    location = frozenset({operation.location})
    match operation:
        case Probe():
            return Claims()
        case Initialize() | Rebind() | Release():
            return Claims(holds=location)
        case Fetch() | DeleteParent():
            return Claims(holds=frozenset({operation.parent}), reads=location)
        case CreateChild():
            return Claims(holds=frozenset({operation.storage_id}), reads=location | {operation.parent})
        case CreateBlank() | Adopt() | DeleteVolume():
            return Claims(holds=frozenset({operation.storage_id}), reads=location)


def needs_root(operation: Operation) -> bool:
    """Making a location ours changes owners; nothing else may run as root."""
    return isinstance(operation, Initialize)


def allowed_on_cordoned(operation: Operation) -> bool:
    """Cordoning keeps new things away; tidying up and looking must go on."""
    return isinstance(operation, Probe | Release | DeleteVolume | DeleteParent)
