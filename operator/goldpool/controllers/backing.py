"""Where a location's bytes are, in the terms of a pod."""

from typing import Final

from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import Scope, StoragePool, Toleration
from goldpool.contracts.layout import LocationIdentity
from goldpool.controllers.world import World
from goldpool.dispatch.mounts import Backing, Claim, HostPath, LocationMount

HOST_AWAY_SECONDS: Final = 15
"""What waits for a host looks again: one that was away for a moment is back before its location said so, and then
nothing changes that would wake who waits."""


def backing_of(pool: StoragePool) -> Backing:
    """An NFS export is reached through the claim the pool's controller makes for it."""
    backend = pool.spec.backend
    if backend.host_path is not None:
        return HostPath(backend.host_path.path)
    if backend.persistent_volume_claim is not None:
        return Claim(backend.persistent_volume_claim.claim_name)
    return Claim(nfs_claim_name(pool))


def nfs_claim_name(pool: StoragePool) -> str:
    return f"pool-{pool.metadata.uid}"


def mount_of(pool: StoragePool, location: StorageLocation, node_uid: str, cluster_uid: str) -> LocationMount:
    """``node_uid`` is that of the Node the identity on disk names."""
    shared = pool.spec.scope is Scope.SHARED
    return LocationMount(
        location=location.metadata.name,
        backing=backing_of(pool),
        identity=LocationIdentity(
            location=location.metadata.name,
            cluster=cluster_uid,
            pool=location.spec.pool,
            node="" if shared else location.spec.host,
            node_uid="" if shared else node_uid,
        ),
    )


def executing_host(world: World, pool: StoragePool, location: StorageLocation, turn: int = 0) -> str | None:
    """The first of those that can work on the location. None while no host can."""
    return next(iter(executing_hosts(world, pool, location, turn)), None)


def executing_hosts(
    world: World, pool: StoragePool, location: StorageLocation, turn: int = 0
) -> tuple[str, ...]:
    """The hosts that can work on the location now: its own, or for a Shared pool all ready ones, beginning with the one
    whose turn it is."""
    if location.spec.host:
        node = world.node(location.spec.host)
        return (node.name,) if node is not None and node.ready else ()
    ready = sorted(n.name for n in world.hosts_of(pool) if n.ready)
    first = turn % len(ready) if ready else 0
    return (*ready[first:], *ready[:first])


def tolerations_of(tolerations: list[Toleration]) -> tuple[dict[str, str], ...]:
    return tuple({k: v for k, v in t.to_dict().items() if v != ""} for t in tolerations)
