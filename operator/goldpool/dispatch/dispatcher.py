"""The I/O around the book: Jobs are created, read and deleted here."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

from goldpool.contracts.operations import LocationFacts
from goldpool.dispatch.outcome import Outcome
from goldpool.dispatch.request import Ask, Settle
from goldpool.dispatch.settings import DispatchSettings
from goldpool.kube.port import Change, Key, KubeApi, Obj, Resource


class JobsAndPods(Protocol):
    """Read access to the cached Jobs and Pods of the data namespace."""

    def list(self, resource: Resource) -> Iterable[Obj]: ...


class Dispatcher:
    """Each operation that is asked for ends in exactly one outcome, and is never in two Jobs at once."""

    def __init__(
        self,
        kube: KubeApi,
        cache: JobsAndPods,
        *,
        settings: DispatchSettings,
        wake: Callable[[Key], None],
        clock: Callable[[], datetime],
    ) -> None:
        raise NotImplementedError

    async def rebuild(self) -> None:
        """Every Job in flight is known again. A new leader calls it before ``run``; ``ask`` waits for it."""
        raise NotImplementedError

    async def run(self) -> None:
        """Form batches, create Jobs, read results, follow progress; until cancelled."""
        raise NotImplementedError

    def outcome(self, operation_id: str) -> Outcome | None:
        """None: nobody asked, or it is settled."""
        raise NotImplementedError

    def facts(self, location: str) -> tuple[LocationFacts, datetime] | None:
        """How a Job last found the location, and when that was read (wall time)."""
        raise NotImplementedError

    async def ask(self, ask: Ask) -> None:
        """Does nothing for an operation that is in flight, or ended and not settled."""
        raise NotImplementedError

    async def settle(self, settle: Settle) -> None:
        """Forget the operation; its Job goes when all of its operations are settled."""
        raise NotImplementedError

    def observe(self, change: Change) -> None:
        """The cache's listener for Jobs and Pods of the data namespace. Never blocks."""
        raise NotImplementedError

    async def users_of(self, name_on_disk: str) -> list[str]:
        """Names of the Jobs in flight that touch this parent, storageID or location, from an uncached list.

        The deletion of that very name is no user of it, so a deleter does not find itself.
        """
        raise NotImplementedError
