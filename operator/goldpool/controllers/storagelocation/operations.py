"""What is asked of a location's host, and under which id."""

from goldpool.api.storagelocation import StorageLocation
from goldpool.contracts.facts import LocationFacts, LocationState
from goldpool.contracts.operations import Initialize, Probe, Rebind, Release
from goldpool.controllers.abandonment import abandons
from goldpool.controllers.backing import tolerations_of
from goldpool.controllers.naming import OperationIds
from goldpool.controllers.storagelocation.observed import Observed
from goldpool.dispatch.mounts import LocationMount
from goldpool.dispatch.request import Ask, Request
from goldpool.kube.port import Key
from goldpool.planning.snapshot import NodeView


def ask(
    o: Observed, mount: LocationMount, host: str, operation: Initialize | Probe | Rebind | Release
) -> Ask:
    assert o.pool is not None
    return Ask(
        Request(
            operation=operation,
            mount=mount,
            host=host,
            owner=Key("StorageLocation", "", o.location.metadata.name),
            tolerations=tolerations_of(o.pool.spec.tolerations),
        )
    )


def operation_id(location: StorageLocation, node: NodeView | None, facts: LocationFacts | None) -> str:
    if location.deleting:
        return OperationIds.release(location.metadata.name)
    return operation_in_use(location, node, facts)


def operation_in_use(location: StorageLocation, node: NodeView | None, facts: LocationFacts | None) -> str:
    name, status = location.metadata.name, location.status
    if status.initialized_time is None:
        return OperationIds.initialize(name, status.attempts or 0)
    if abandons(location.metadata.annotations, location.spec.host or location.spec.pool):
        return OperationIds.initialize_again(name, status.initialized_time, status.attempts or 0)
    if node is not None and facts is not None and node_is_new(location, node, facts):
        return OperationIds.rebind(name, node.uid)
    return OperationIds.probe(name, status.probe_time or status.initialized_time)


def node_is_new(location: StorageLocation, node: NodeView, facts: LocationFacts) -> bool:
    return (
        facts.state is LocationState.OK and bool(location.spec.host) and location.status.node_uid != node.uid
    )
