"""How far a transfer is, read from its pod's log."""

import asyncio
import json
from collections.abc import Callable, Iterable

from goldpool.contracts.report import Progress
from goldpool.dispatch.book import Book
from goldpool.dispatch.jobs import Jobs
from goldpool.dispatch.settings import DispatchSettings
from goldpool.dispatch.watch import Watched
from goldpool.kube.port import Key, KubeError


def read_progress(line: str) -> Progress | None:
    """None for a line of another kind; a pod may log what it likes."""
    if '"progress"' not in line:
        return None
    try:
        return Progress.from_fields(json.loads(line)["progress"])
    except (ValueError, KeyError, TypeError):
        return None


async def follow(
    jobs: Jobs,
    book: Book,
    watched: Watched,
    settings: DispatchSettings,
    tell: Callable[[Iterable[Key]], None],
) -> None:
    """Until the Job is over. Progress becomes the operation's at most once per ``progress_seconds``, and wakes its owners
    only when it is new: so no pass, for whatever reason it is made, has more to write than that. The last that was said
    is told, too, when nothing follows it."""
    latest = _Latest()
    reading = asyncio.create_task(_read(jobs, book, watched, settings, latest))
    try:
        while not reading.done():
            await latest.news.wait()
            latest.news.clear()
            if latest.progress is not None and _in_flight(book, watched):
                tell(book.progressed(watched.name, latest.progress))
                await asyncio.wait({reading}, timeout=settings.progress_seconds)
        await reading
    finally:
        reading.cancel()


class _Latest:
    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.news = asyncio.Event()


async def _read(
    jobs: Jobs, book: Book, watched: Watched, settings: DispatchSettings, latest: _Latest
) -> None:
    """The whole log, from its begin; again when it breaks off."""
    assert watched.pod is not None
    pod = watched.pod["metadata"]["name"]
    try:
        while _in_flight(book, watched):
            try:
                async for line in jobs.follow_log(pod):
                    if not _in_flight(book, watched):
                        return
                    if (progress := read_progress(line)) is not None:
                        latest.progress = progress
                        latest.news.set()
            except KubeError:
                pass  # progress is for people: a log that cannot be read stops no transfer
            await asyncio.sleep(settings.retry_seconds)
    finally:
        latest.news.set()


def _in_flight(book: Book, watched: Watched) -> bool:
    flight = book.flight(watched.name)
    return flight is not None and not flight.over
