"""What planning sees and answers: frozen views that a controller fills from its cache, without objects or clocks.

Sizes are bytes, IOPS are operations per second, percentages are whole numbers. A figure that is not known never
excludes a candidate: it passes the filter that asks for it and ranks last.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ISO: Final = "ISO"
"""What a plan calls the medium in a machine's CD drive, among its disks: no volume can have this name."""


@dataclass(frozen=True, slots=True)
class LocationView:
    """One place where bytes are: (pool, host), or a whole Shared pool with host ``""``."""

    name: str
    pool: str
    host: str
    golden: bool
    shared: bool
    hosts: frozenset[str]
    """Hosts that reach it: its own for Host scope, all that the pool selects for Shared."""
    tags: frozenset[str]
    enabled: bool
    """The pool's state is Enabled and it is not being deleted."""
    ready: bool
    """Initialised, its identity verified, its host ready."""
    total_bytes: int
    """Size of the file system (statvfs); 0 is unknown."""
    free_bytes: int
    capacity_bytes: int | None
    """Bytes to plan with; None is the file system's size."""
    capacity_iops: int | None
    """None is unlimited."""
    overprovisioning_percent: int
    used_limit_percent: int
    allocated_limit_percent: int
    allocated_bytes: int
    """Promised: virtual sizes of the volumes bound here and of the parents here, known or reserved."""
    allocated_iops: int
    namespaces: frozenset[str] = frozenset()
    """Those it serves; empty is all."""
    fetching_bytes: int = 0
    """File bytes of parents on their way here, which ``free_bytes`` does not show yet."""
    unsized: int = 0
    """Disks promised here whose size nobody knows yet: their template is new, and they count no bytes."""


@dataclass(frozen=True, slots=True)
class HostView:
    """One Node. ``tainted``: it has a NoSchedule or NoExecute taint that the machine does not tolerate."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    ready: bool = True
    schedulable: bool = True
    tainted: bool = False


@dataclass(frozen=True, slots=True)
class ParentView:
    """One copy of a template. A copy that is being removed is left out: it cannot be counted on."""

    template: str
    location: str
    ready: bool
    failed: bool = False


@dataclass(frozen=True, slots=True)
class TemplateView:
    """What is known of a template's bytes before or after the first fetch; None is not known yet."""

    name: str
    golden: bool
    file_bytes: int | None = None
    virtual_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class DiskWish:
    """A disk without a place. ``pool``, ``host`` and ``parent_pool`` are the wishes of ``spec.placement``; None is any."""

    name: str
    size_bytes: int
    tags: frozenset[str] = frozenset()
    iops: int = 0
    template: TemplateView | None = None
    pool: str | None = None
    host: str | None = None
    parent_pool: str | None = None
    medium: bool = False
    """Nothing but its template's parent, which the machine reads as it is: an ISO. It takes no bytes, tags or IOPS of its
    own, and its location is its parent's."""


def called(disk: str) -> str:
    """A disk in a sentence."""
    return "the ISO" if disk == ISO else f"disk {disk}"


@dataclass(frozen=True, slots=True)
class BoundDisk:
    """A disk of the machine that already has its place, and so restricts the hosts. ``location`` None: not known now."""

    name: str
    location: LocationView | None
    parent_location: str | None = None


@dataclass(frozen=True, slots=True)
class Avoid:
    """What one machine's planning skips because it failed there (CloudStack's ExcludeList)."""

    locations: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class MachineWish:
    """Everything one plan decides at once. The first disk is the root disk: its rank chooses the host. A medium comes
    last."""

    disks: tuple[DiskWish, ...]
    bound: tuple[BoundDisk, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    avoid: Avoid = Avoid()
    namespace: str = ""
    unknown_parent_bytes: int = 0
    """What a template of unknown size reserves: the largest size of any known one; 0 when none is known."""
    namespace_volumes: Mapping[str, int] = field(default_factory=dict)
    """Volumes of the namespace per location name; only ``userdispersing`` reads it."""
    may_fall_back: bool = False
    """Golden parents may lie beside their children where no golden pool can serve (``planning.fallback``)."""


@dataclass(frozen=True, slots=True)
class DiskPlacement:
    """Where one disk goes. ``host`` is ``""`` on a Shared pool; the parent's fields are None without a template."""

    disk: str
    location: str
    pool: str
    host: str
    parent_location: str | None = None
    parent_pool: str | None = None
    fallback: bool = False
    """The template is golden, but its parent is not on a golden pool."""


_FALLBACK: Final = (" with its parent beside it as a fallback", " as a fallback")


@dataclass(frozen=True, slots=True)
class Placement:
    """Places for all disks, and the hosts (sorted) the machine may run on: one when pinned, else every feasible one."""

    disks: tuple[DiskPlacement, ...]
    hosts: tuple[str, ...]
    why: str = field(default="", compare=False)
    """The figures of the first disk's place, for people."""

    def sentence(self) -> str:
        """``root in standard over golden-ssd, data in standard``; a fallback says so."""
        return ", ".join(
            f"{d.disk} in {d.pool}"
            + (f" over {d.parent_pool}" if d.parent_pool not in {None, d.pool} else "")
            + (_FALLBACK[d.disk == ISO] if d.fallback else "")
            for d in self.disks
        )
