"""What one object promises, as the few numbers that the ledger keeps of it."""

from dataclasses import dataclass, field
from typing import Self

from goldpool.api.parent import Parent, ParentState
from goldpool.api.template import Template
from goldpool.api.volume import Volume
from goldpool.planning.references import bound, template_of
from goldpool.planning.revisions import superseded
from goldpool.planning.views import ParentView

Spot = tuple[str, str]
"""(template, location)"""


@dataclass(frozen=True, slots=True)
class Promised:
    """Sums at one location; the fields of ``LocationView`` of the same meaning."""

    allocated_bytes: int = 0
    allocated_iops: int = 0
    fetching_bytes: int = 0
    unsized: int = 0

    def __add__(self, other: "Promised") -> "Promised":
        return Promised(
            self.allocated_bytes + other.allocated_bytes,
            self.allocated_iops + other.allocated_iops,
            self.fetching_bytes + other.fetching_bytes,
            self.unsized + other.unsized,
        )

    def __neg__(self) -> "Promised":
        return Promised(-self.allocated_bytes, -self.allocated_iops, -self.fetching_bytes, -self.unsized)


@dataclass(frozen=True, slots=True)
class TemplateSizes:
    """Bytes; 0 is not known."""

    virtual: int = 0
    file: int = 0
    pinned: tuple[object, ...] = ()
    """What decides which copies serve new disks."""
    template: Template | None = field(default=None, compare=False)

    @classmethod
    def of(cls, template: Template) -> Self:
        status = template.status
        token = status.refetch.token if status.refetch is not None else ""
        pinned = (status.revision, status.refetches, token)
        return cls(status.virtual_size or 0, status.size or 0, pinned, template)

    @property
    def largest(self) -> int:
        return self.virtual or self.file


@dataclass(frozen=True, slots=True)
class Disk:
    """A bound volume. ``size`` 0: its template's. ``parent_location`` None: follows from the pool and the host."""

    template: str | None
    size: int
    iops: int
    pool: str
    host: str
    parent_pool: str
    parent_location: str | None

    @classmethod
    def of(cls, volume: Volume) -> Self | None:
        """None for what is not bound: a wish promises nothing."""
        place, status = volume.spec.placement, volume.status
        if not bound(volume) or place is None:
            return None
        current = status.storage_id == volume.spec.storage_id
        return cls(
            template=template_of(volume),
            size=volume.spec.size or status.capacity or 0,
            iops=volume.spec.iops or 0,
            pool=place.pool or "",
            host=place.host or "",
            parent_pool=place.parent_pool or place.pool or "",
            parent_location=(status.parent_location or None) if current else None,
        )


@dataclass(frozen=True, slots=True)
class Copy:
    """A parent. Bytes; 0 is not known. ``there``: published, so nothing is to be written any more."""

    parent: Parent
    spot: Spot
    view: ParentView | None
    virtual: int
    file: int
    expected: int
    done: int
    there: bool

    @classmethod
    def of(cls, parent: Parent, template: Template | None) -> Self:
        spec, status = parent.spec, parent.status
        goes = parent.deleting or status.state is ParentState.RETIRING
        old = template is not None and superseded(parent, template)
        view = None
        if not goes and not old:  # else it cannot be counted on
            view = ParentView(
                spec.template,
                spec.location,
                ready=status.state is ParentState.READY,
                failed=status.state is ParentState.FAILED,
            )
        return cls(
            parent,
            (spec.template, spec.location),
            view,
            virtual=status.virtual_size or 0,
            file=status.size or 0,
            expected=status.expected or 0,
            done=status.done or 0,
            there=status.state in (ParentState.PUBLISHED, ParentState.READY, ParentState.RETIRING),
        )
