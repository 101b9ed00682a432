"""What is in the cluster: one list per kind, read once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from goldpool.api.model import Kind
from goldpool.api.parent import Parent
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.api.volume import Volume
from goldpool.kube import resources
from goldpool.kube.port import KubeApi, Resource

K = TypeVar("K", bound=Kind)


@dataclass(frozen=True)
class Inventory:
    """The kinds a tree is made of. Each list is consistent in itself; between them a moment may have passed."""

    pools: Sequence[StoragePool] = ()
    templates: Sequence[Template] = ()
    parents: Sequence[Parent] = ()
    volumes: Sequence[Volume] = ()
    machines: Sequence[VirtualMachine] = ()


async def read(api: KubeApi, namespace: str = "") -> Inventory:
    """Everything, or the volumes and machines of one namespace and all pools, templates and parents.

    Raises the exceptions of ``kube.port``: NotFound where the CRDs are not installed.
    """

    async def of(resource: Resource, model: type[K], within: str = "") -> list[K]:
        return [model.read(obj) for obj in await api.list(resource, within)]

    pools, templates, parents, volumes, machines = await asyncio.gather(
        of(resources.STORAGE_POOL, StoragePool),
        of(resources.TEMPLATE, Template),
        of(resources.PARENT, Parent),
        of(resources.VOLUME, Volume, namespace),
        of(resources.VIRTUAL_MACHINE, VirtualMachine, namespace),
    )
    return Inventory(pools, templates, parents, volumes, machines)
