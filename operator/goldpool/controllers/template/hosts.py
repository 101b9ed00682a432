"""Which host asks a template's source: one that could fetch the template, for only its view of the network counts."""

from collections.abc import Iterable

from goldpool.api.conditions import ConditionType, is_true
from goldpool.api.storagepool import PoolState, Scope
from goldpool.api.template import Template
from goldpool.controllers.backing import tolerations_of
from goldpool.controllers.naming import LABEL_LOCATION
from goldpool.controllers.template.observed import Asker
from goldpool.controllers.world import World
from goldpool.planning.identity import digest


def asker_of(world: World, template: Template, turn: int) -> Asker | None:
    """Another one each ``turn``, and for another template; None while no host can."""
    hosts = {asker.host: asker for asker in _askers(world, template)}
    if not hosts:
        return None
    names = sorted(hosts)
    first = int(digest(template.metadata.uid, length=6), 36)
    return hosts[names[(first + turn) % len(names)]]


def _askers(world: World, template: Template) -> Iterable[Asker]:
    """Ready hosts of pools that could hold the template."""
    for pool in sorted(world.pools(), key=lambda p: p.metadata.name):
        if (
            pool.deleting
            or pool.spec.golden != template.spec.golden
            or pool.spec.state is not PoolState.ENABLED
        ):
            continue
        ready = [
            x
            for x in world.locations_of(pool.metadata.name)
            if not x.deleting and is_true(x.status.conditions, ConditionType.READY)
        ]
        shared = pool.spec.scope is Scope.SHARED
        reached = {n.name for n in world.hosts_of(pool)} if shared and ready else {x.spec.host for x in ready}
        for name in reached:
            node = world.node(name)
            if node is not None and node.ready and not node.cordoned:
                location = world.label_of_node(name, LABEL_LOCATION)
                yield Asker(name, location, tolerations_of(pool.spec.tolerations))
