"""Unpublished work in ``tmp/``: one entry per try, named ``<name on disk>.<token>.<kind>``.

The token is random, so that a late process of a lost host never works in the entry of its successor.
"""

import os
import re
import secrets
from enum import StrEnum
from typing import Final

from goldpool.worker import publish


class Kind(StrEnum):
    VOLUME = "volume"
    PARENT = "parent"
    LOCK = "lock"


_ENTRY: Final = re.compile(
    r"(?P<name>[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)\.[0-9a-f]{8}\.(?P<kind>volume|parent|lock)"
)


def new_entry(name: str, kind: Kind) -> str:
    return f"{name}.{secrets.token_hex(4)}.{kind}"


def lock_entry(name: str) -> str:
    """The same for everyone, unlike the others: a lock has to be found."""
    return f"{name}.{'0' * 8}.{Kind.LOCK}"


def owner_of(entry: str) -> tuple[str, Kind] | None:
    """The name on disk that an entry is work for; None for an entry that is not ours."""
    match = _ENTRY.fullmatch(entry)
    return None if match is None else (match["name"], Kind(match["kind"]))


def belongs_to(entry: str, name: str, kind: Kind) -> bool:
    """Names may contain dots (``a`` and ``a.b``), so the whole entry is matched, never a prefix of it."""
    return owner_of(entry) == (name, kind)


def entries_of(name: str, kind: Kind, *, tmp: int) -> list[str]:
    """What earlier tries of this name left. Entries of other names are not looked at."""
    return sorted(entry for entry in publish.entries(at=tmp) if belongs_to(entry, name, kind))


def discard(entry: str, name: str, kind: Kind, *, tmp: int) -> None:
    """The entry is gone, and whoever still works in it cannot publish it.

    It is renamed before it is emptied: a rename for publication that came between two unlinks would
    publish a directory without its disk.
    """
    doomed = new_entry(name, kind)
    try:
        os.rename(entry, doomed, src_dir_fd=tmp, dst_dir_fd=tmp)
    except FileNotFoundError:
        return
    publish.remove(doomed, at=tmp)


def sweep_all(*, tmp: int) -> None:
    """No entry of ours is left, of any name: for a location that is given back."""
    for entry in publish.entries(at=tmp):
        if (owner := owner_of(entry)) is not None:
            discard(entry, *owner, tmp=tmp)


def sweep(name: str, kind: Kind, *, tmp: int) -> None:
    """What earlier tries of this name left is gone."""
    for entry in entries_of(name, kind, tmp=tmp):
        discard(entry, name, kind, tmp=tmp)
