"""The frozen world of one pool."""

from dataclasses import dataclass
from datetime import datetime

from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.kube.port import Obj
from goldpool.planning.references import Users
from goldpool.planning.snapshot import NodeView


@dataclass(frozen=True, slots=True)
class Observed:
    """A pool, its hosts and locations, and who uses it."""

    raw: Obj
    pool: StoragePool
    nodes: tuple[NodeView, ...]
    locations: tuple[StorageLocation, ...]
    other_paths: tuple[tuple[str, str], ...]
    """(pool, path) of every older hostPath pool: of two that nest, the one that came later is wrong."""
    hosts_in_use: frozenset[str]
    """Hosts with a volume of the pool or a parent in it, as the cache says."""
    users: Users
    """Volumes on the pool or with their parent on it, once it is being deleted; nobody asks before."""
    parents: int
    parents_ready: int
    children: int
    volumes: int
    allowed_prefixes: tuple[str, ...]
    claim_exists: bool
    persistent_volume_exists: bool
    """Asked of the API server only while the claim is missing: a crash may lie between the two."""
    data_namespace: str
    now: datetime
