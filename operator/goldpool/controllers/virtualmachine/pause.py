"""Why QEMU paused the guest: what the runtime says at the end of the pod's log, and what that means to a person."""

from collections.abc import Iterable

from goldpool.contracts.machine import GuestState
from goldpool.contracts.model import Misread
from goldpool.controllers.virtualmachine.observed import DiskView, Pause

LOG_LINES = 60
"""A paused guest prints nothing, so the runtime's last word is among the last lines; a few are events of QEMU's."""


def pause_of(log: str, disks: Iterable[DiskView]) -> tuple[Pause, ...]:
    """Empty unless the runtime's last word is that disks failed. A guest can print such a line too: it is believed only
    of the machine's own disks, and only decides what the machine's own status says."""
    names = {disk.name for disk in disks}
    for line in reversed(log.splitlines()):
        try:
            said = GuestState.from_json(line)
        except Misread:
            continue
        if said.status != "io-error":
            return ()
        return tuple(Pause(n, s == "nospace") for n, s in sorted(said.failing.items()) if n in names)
    return ()


def sentence(pauses: Iterable[Pause], disks: Iterable[DiskView]) -> str:
    """Which disk, which pool, and what to do."""
    by_name = {disk.name: disk for disk in disks}
    told = [_told(pause, by_name[pause.disk]) for pause in pauses]
    return (
        f"{'; '.join(told)}: QEMU paused the guest before the write, nothing is lost, and it goes on by itself as soon as "
        "the storage takes it"
    )


def _told(pause: Pause, disk: DiskView) -> str:
    placement = disk.volume.spec.placement if disk.volume else None
    pool = (placement.pool if placement else None) or "its pool"
    on = f" on {placement.host}" if placement and placement.host else ""
    if pause.no_space:
        return f"disk {disk.name}: StoragePool {pool}{on} is full, free or add room there"
    return f"disk {disk.name}: StoragePool {pool}{on} answers with I/O errors"
