"""Which part of a raw object others go by: a change of anything else wakes nobody."""

from collections.abc import Callable

from goldpool.controllers.naming import ABANDON_ANNOTATION
from goldpool.engine.plan import Soon
from goldpool.kube.port import Change, Key, Obj


def differs(change: Change, view: Callable[[Obj], object]) -> bool:
    """Whether what the view shows has changed; appearing and going are changes."""
    if change.old is None or change.new is None:
        return True
    return view(change.old) != view(change.new)


def going(obj: Obj) -> object:
    return obj["metadata"].get("deletionTimestamp")


def readiness(obj: Obj) -> object:
    """Of an object with a Ready condition: its status, and that it is being deleted."""
    conditions = (obj.get("status") or {}).get("conditions", ())
    return [c["status"] for c in conditions if c["type"] == "Ready"], going(obj)


def place_as_seen(location: Obj) -> object:
    """What those who lie at a location read of it: whether it is well, what is missing, and that it was given up."""
    status = location.get("status") or {}
    return (
        readiness(location),
        status.get("missing"),
        status.get("inspectedTime") if status.get("missing") else None,
        (location["metadata"].get("annotations") or {}).get(ABANDON_ANNOTATION),
    )


def stake(volume: Obj) -> object:
    """What a template and its copies read of a volume: where it is bound, its parent, that it is made, that it goes."""
    spec, status = volume["spec"], volume.get("status") or {}
    return (
        spec.get("placement"),
        spec.get("storageID"),
        status.get("parent"),
        status.get("createdTime"),
        going(volume),
    )


def iso_stake(machine: Obj) -> object:
    """What a template and its copies read of a machine: its ISO, and that it goes."""
    return iso_of(machine), going(machine) if iso_of(machine) else None


def iso_of(machine: Obj) -> dict[str, str]:
    """``status.iso`` of a raw VirtualMachine; empty when it has none."""
    found: dict[str, str] = (machine.get("status") or {}).get("iso") or {}
    return found


def soon_if_well(key: Key, obj: Obj | None) -> Key | Soon:
    """For what an object only counts: soon, unless it is going, when every user less may be the last one."""
    return key if obj is None or going(obj) else Soon(key)
