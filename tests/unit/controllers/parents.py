"""What the Parent's controller observes, with defaults that fit each other."""

from collections.abc import Iterable
from typing import Any

from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.volume import Volume
from goldpool.contracts.operations import FetchPolicy
from goldpool.controllers.backing import mount_of
from goldpool.controllers.parent import Observed
from goldpool.kube.port import Obj
from goldpool.planning.references import users_of_parent, uses_parent
from tests.unit.controllers.builders import (
    NODE,
    NOW,
    SOURCE_HASH,
    a_golden_pool,
    a_location,
    a_parent,
    a_pinned_template,
)


def observed(
    parent: Obj | None = None,
    *,
    template: Obj | None = None,
    volumes: Iterable[Obj] = (),
    copies: Iterable[Obj] = (),
    **changes: Any,
) -> Observed:
    """A copy that is wanted ahead, at a location that is well. ``users`` and ``waiting`` follow from the volumes."""
    raw = parent or a_parent()
    read, known = Parent.read(raw), tuple(Volume.read(v) for v in volumes)
    pool = StoragePool.read(changes.pop("pool_object", a_golden_pool()))
    location = StorageLocation.read(changes.pop("location_object", a_location("golden-ssd")))
    defaults: dict[str, Any] = {
        "template": Template.read(template or a_pinned_template()),
        "source_hash": SOURCE_HASH,
        "pool": pool,
        "location": location,
        "location_ready": True,
        "host": NODE,
        "hosts": (NODE,),
        "host_location": "",
        "node_known": True,
        "mount": mount_of(pool, location, f"uid-{NODE}", "cluster"),
        "fetch": None,
        "removal": None,
        "users": users_of_parent(read, known),
        "waiting": sum(v.status.created_time is None and uses_parent(v, read) for v in known),
        "prepared": True,
        "copies": (read, *(Parent.read(p) for p in copies)),
        "volumes": known,
        "policy": FetchPolicy(),
        "base_seconds": 5.0,
        "cap_seconds": 600.0,
        "jitter": 0.5,
        "now": NOW,
    }
    return Observed(raw=raw, parent=read, **(defaults | changes))
