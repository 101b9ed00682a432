"""What a template's copies come to, as a person or a script waits for it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from goldpool.api.conditions import ConditionStatus, ConditionType, Reason, message_of, why_stalled
from goldpool.api.model import human_bytes
from goldpool.api.parent import Parent, ParentState
from goldpool.api.template import Template
from goldpool.cli.power import Done, Failed, Pending, Progress

_STEP_PERCENT: Final = 10
_STEP_BYTES: Final = 1 << 30


@dataclass(frozen=True)
class Copy:
    """One parent. Bytes and bytes per second; what is not known is None."""

    name: str
    pool: str
    host: str
    """Empty for a Shared pool."""
    state: str
    done: int | None = None
    expected: int | None = None
    rate: int | None = None
    eta: str | None = None
    progress: str | None = None
    mirror: str | None = None
    failure: str | None = None
    message: str = ""
    next_retry: str | None = None
    permanent: bool = False

    @property
    def place(self) -> str:
        return f"{self.host}/{self.pool}" if self.host else self.pool

    @property
    def settled(self) -> bool:
        """Nothing more comes of it by itself."""
        return self.state == ParentState.READY or (self.state == ParentState.FAILED and self.permanent)

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}


def copies(parents: Iterable[Parent]) -> list[Copy]:
    """By pool and host. A copy that is being removed is none."""
    found = [_copy(p) for p in parents if not p.deleting and p.status.state is not ParentState.RETIRING]
    return sorted(found, key=lambda copy: (copy.pool, copy.host, copy.name))


def judge(template: Template | None, found: Sequence[Copy]) -> Progress:
    """Done when all copies that are wanted now are there. Failed when one will not come by itself."""
    if template is None:
        return Failed("was deleted")
    if template.deleting:
        return Failed("is being deleted")
    status = template.status
    if status.observed_generation < template.metadata.generation:
        return Pending("the operator has not looked at it yet")
    if (why := why_stalled(status.conditions)) is not None:
        return Failed(why)
    ready = next((c for c in status.conditions if c.type == ConditionType.READY), None)
    if ready is None:
        return Pending("no status yet")
    if ready.status is ConditionStatus.TRUE:
        return Done(ready.message)
    if ready.reason == Reason.SOURCE_INVALID:
        return Failed(ready.message)
    hopeless = [copy for copy in found if copy.permanent]
    # With another reason copies of a source that was corrected are yet to come: those that failed are of the old one.
    if hopeless and ready.reason == Reason.FETCH_FAILED and all(copy.settled for copy in found):
        return Failed(f"{hopeless[0].place}: {hopeless[0].message or hopeless[0].failure}")
    return Pending(ready.message)


def line(copy: Copy) -> str:
    """One copy, for people, on one line."""
    return " ".join(part for part in (copy.place, copy.state, note(copy)) if part)


def note(copy: Copy) -> str:
    """What a person asks next, by state."""
    match copy.state:
        case ParentState.FETCHING if copy.progress:
            parts = [copy.progress, f"{copy.eta} left" if copy.eta else "", _from(copy)]
        case ParentState.READY | ParentState.PUBLISHED:
            parts = [human_bytes(copy.done) if copy.done is not None else "", _from(copy)]
        case ParentState.FAILED:
            again = f"(again at {copy.next_retry})" if copy.next_retry else ""
            parts = [f"{copy.failure}:" if copy.failure else "", copy.message, again]
        case _:
            parts = [copy.message]
    return " ".join(part for part in parts if part)


def worth_telling(before: Copy | None, now: Copy) -> bool:
    """Whether a log of lines says more with this one: a transfer of hours must not fill it."""
    if before is None or (before.state, before.failure) != (now.state, now.failure):
        return True
    if now.state != ParentState.FETCHING:
        return before.message != now.message
    return _step(before) != _step(now)


def _step(copy: Copy) -> tuple[str, int]:
    done = copy.done or 0
    if copy.expected:
        return "percent", done * 100 // copy.expected // _STEP_PERCENT
    return "bytes", done // _STEP_BYTES


def _from(copy: Copy) -> str:
    return f"from {copy.mirror}" if copy.mirror else ""


def _copy(parent: Parent) -> Copy:
    spec, status = parent.spec, parent.status
    return Copy(
        name=parent.metadata.name,
        pool=spec.pool,
        host=spec.host,
        state=str(status.state or ParentState.PENDING),
        done=status.done,
        expected=status.expected,
        rate=status.rate,
        eta=status.eta,
        progress=status.progress,
        mirror=status.mirror,
        failure=status.failure,
        message=message_of(status.conditions),
        next_retry=status.next_retry_time,
        permanent=bool(status.permanent),
    )
