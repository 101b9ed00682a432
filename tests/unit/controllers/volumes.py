"""What the Volume's controller observes, with defaults that fit each other."""

from collections.abc import Iterable
from typing import Any

from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.volume import Discarded, Volume
from goldpool.contracts.report import FailureReason
from goldpool.controllers.backing import mount_of
from goldpool.controllers.volume import Observed
from goldpool.controllers.volume.observed import Discard, Place
from goldpool.dispatch.outcome import Failed, Outcome
from goldpool.kube.port import Obj
from goldpool.planning.placement import DiskPlacement, Rejection, RejectionReason, Unplaceable
from tests.unit.controllers.builders import (
    NODE,
    NOW,
    REVISION,
    a_location,
    a_pinned_template,
    a_pool,
    a_volume,
)


def a_place(pool: str = "std-a", host: str | None = NODE, **changes: Any) -> Place:
    owner, location = StoragePool.read(a_pool(pool)), StorageLocation.read(a_location(pool))
    defaults: dict[str, Any] = {
        "pool": owner,
        "location": location,
        "mount": mount_of(owner, location, f"uid-{NODE}", "cluster"),
        "host": host,
        "node_known": True,
    }
    return Place(**(defaults | changes))


def a_discard(disk: Discarded, outcome: Outcome | None = None, **place: Any) -> Discard:
    """Where it is said to be."""
    return Discard(disk, a_place(disk.location.partition(".")[0], **place), outcome)


def observed(
    volume: Obj | None = None, *, candidates: Iterable[Obj] = (), fresh: Obj | None = None, **changes: Any
) -> Observed:
    """A child that is bound, and nothing done about it yet."""
    raw = volume or a_volume()
    read = Volume.read(raw)
    child = read.spec.source is not None
    bound = read.spec.storage_id is not None
    defaults: dict[str, Any] = {
        "template": Template.read(a_pinned_template()) if child else None,
        "place": a_place() if bound else None,
        "adoption": None,
        "rivals": (),
        "discards": tuple(a_discard(disk) for disk in read.status.discards),
        "parent_location": f"golden-ssd.{NODE}" if child and bound else None,
        "candidates": tuple(Parent.read(p) for p in candidates),
        "fresh_parent": Parent.read(fresh) if fresh else None,
        "creation": None,
        "removal": None,
        "parent": None,
        "lease": None,
        "holder": "",
        "holder_name": "",
        "direct": None,
        "token": "freshtok",
        "trash_seconds": 3600,
        "base_seconds": 5.0,
        "now": NOW,
    }
    return Observed(raw=raw, volume=read, **(defaults | changes))


HERE = {"storageID": "v-aaaaaaaa", "location": "std-a.node-1", "parentLocation": "golden-ssd.node-1"}
NAMED = HERE | {"parent": "debian-12-aaaaaaaa", "revision": REVISION}
DIRECT = DiskPlacement("root", "std-a.node-1", "std-a", "node-1", "golden-ssd.node-1", "golden-ssd")
FULL = Failed(FailureReason.POOL_FULL, "no room on /srv/std-a", permanent=False)
TAKEN = Failed(FailureReason.VOLUME_CONFLICT, "the name is taken", permanent=True)
NOWHERE = Unplaceable((Rejection("std-a.node-1", RejectionReason.USED_LIMIT, "91 % used"),))
