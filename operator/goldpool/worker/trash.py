"""Where deleted volumes wait: ``trash/<name on disk>.<unix seconds>``. Other names there are not ours."""

import re
from typing import Final

from goldpool.worker import publish
from goldpool.worker.log import log

_TRASH_ENTRY: Final = re.compile(
    r"(?P<name>[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)\.(?P<seconds>[0-9]{9,12})"
)


def move_to_trash(name: str, *, at: int, trash: int, now: int) -> str | None:
    """The entry's new name, ``<name>.<unix seconds>``; None when there was nothing to move."""
    seconds = now
    while True:
        try:
            publish.rename(name, f"{name}.{seconds}", source_at=at, target_at=trash)
        except FileNotFoundError:
            return None
        except FileExistsError:
            seconds += 1  # two of one name in one second: only after a restore by hand
        else:
            return f"{name}.{seconds}"


def empty_trash_of(name: str, *, trash: int) -> None:
    """Nothing of this name is in the trash any more."""
    for entry in publish.entries(at=trash):
        if (match := _TRASH_ENTRY.fullmatch(entry)) is not None and match["name"] == name:
            publish.remove(entry, at=trash)


def empty_trash(*, trash: int) -> None:
    """Nothing of ours is in the trash any more."""
    for entry in publish.entries(at=trash):
        if _TRASH_ENTRY.fullmatch(entry) is not None:
            publish.remove(entry, at=trash)


def expired(entry: str, *, trash_seconds: int, now: int) -> bool:
    """Is this an entry of ours that has waited for longer than ``trash_seconds``? Foreign names never expire."""
    match = _TRASH_ENTRY.fullmatch(entry)
    return match is not None and now - int(match["seconds"]) > trash_seconds


def sweep_trash(*, trash: int, trash_seconds: int, now: int) -> None:
    """Expired entries are gone, as far as that is possible: somebody else's trash fails no operation."""
    for entry in publish.entries(at=trash):
        if not expired(entry, trash_seconds=trash_seconds, now=now):
            continue
        try:
            publish.remove(entry, at=trash)
            log("trash swept", entry=entry)
        except OSError as error:
            log("trash not swept", entry=entry, error=error.strerror)
