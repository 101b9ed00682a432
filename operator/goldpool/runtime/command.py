"""The QEMU command line of a machine: a pure function of what it was told and what the node offers."""

import json
from collections.abc import Collection
from typing import Final
from uuid import UUID

from goldpool.contracts.layout import VOLUME_DISK, ImageFormat, parent_file
from goldpool.contracts.machine import Disk, Machine, ParentDisk
from goldpool.runtime.accelerator import Accelerator
from goldpool.runtime.environment import Environment

MACHINE_TYPE: Final = "pc,dump-guest-core=off"
"""``pc``, not ``q35``: a disk is hot-plugged into any free slot of its only PCI bus (q35 needs a root port prepared for
each), every BIOS boot loader knows it, and nothing here needs PCI Express. No guest memory in core dumps."""

TCG_BUFFER_MIB: Final = 128
"""TCG's translation buffer. Unset it is an eighth of the node's memory, up to 1 GiB: no part of the pod's limit."""

SANDBOX: Final = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
SERIAL_LIMIT: Final = 20  # bytes, virtio-blk
_LOG_SET: Final = 1


def command_line(
    machine: Machine, accelerator: Accelerator, direct: Collection[str], place: Environment, log: int
) -> list[str]:
    """QEMU with explicit block nodes only, stopped until QMP says ``cont``, and kept after the guest's power-off until
    QMP says ``quit``: so no event is missed at either end.

    ``direct`` holds the storageIDs whose file system takes O_DIRECT. What the guest says on its serial port goes to
    the file descriptor ``log``, whether or not somebody is connected to the port's socket.
    """
    return [
        place.qemu,
        "-nodefaults", "-no-user-config", "-S", "-no-shutdown",
        "-name", f"guest={_escaped(machine.name)}",
        *(["-uuid", machine.uid] if _is_uuid(machine.uid) else []),
        "-sandbox", SANDBOX,
        "-machine", MACHINE_TYPE,
        "-accel", accelerator.name if accelerator.name != "tcg" else f"tcg,tb-size={TCG_BUFFER_MIB}",
        "-cpu", accelerator.cpu,
        "-smp", f"cpus={machine.cpus},sockets=1,cores={machine.cpus},threads=1",
        "-m", f"size={machine.memory_bytes}b",
        "-rtc", "base=utc",
        "-display", "none", "-vga", "none",
        "-chardev", f"socket,id=monitor,path={_escaped(str(place.monitor))},server=on,wait=off",
        "-mon", "chardev=monitor,mode=control",
        # A descriptor, not a path: the pod's log is a pipe of the container runtime, which only its owner may reopen.
        "-add-fd", f"fd={log},set={_LOG_SET}",
        "-chardev", (f"socket,id=serial0,path={_escaped(str(place.serial))},server=on,wait=off,"
                     f"logfile=/dev/fdset/{_LOG_SET},logappend=on"),
        "-serial", "chardev:serial0",
        # Before the disks, so that a volume more does not move the card to another slot and rename the guest's
        # interface. No ROM: there is nothing to boot from the network, and the file is in a package of its own.
        "-netdev", "user,id=net0", *_device(driver="virtio-net-pci", id="net0", netdev="net0", romfile=""),
        "-object", "rng-random,id=rng0,filename=/dev/urandom", *_device(driver="virtio-rng-pci", rng="rng0"),
        *(word for i, disk in enumerate(machine.disks) for word in _disk(machine, i, disk, direct, place)),
        *(_cdrom(machine, machine.cdrom, place) if machine.cdrom else []),
    ]  # fmt: skip


def device_id(index: int) -> str:
    """The device of the machine's disk ``index``, and the beginning of its nodes' names. Not the disk's own name: that
    may have 63 characters, a node's name 31."""
    return f"disk{index}"


def throttled_node(index: int) -> str:
    """The node the device reads: QoS changes the limits of its group, live operations put nodes below it."""
    return f"{device_id(index)}.throttle"


def _disk(machine: Machine, index: int, disk: Disk, direct: Collection[str], place: Environment) -> list[str]:
    me = device_id(index)
    backing = f"{me}.parent" if disk.parent else None
    words = _parent_nodes(f"{me}.parent", disk.parent, place) if disk.parent else []
    words += _blockdev({
        "driver": "file",
        "node-name": f"{me}.file",
        "filename": str(place.disks / disk.storage_id / VOLUME_DISK),
        # Not io_uring, which container seccomp profiles deny; not native, whose submission waits in the main loop
        # while ext4 or XFS extends a growing child, and QMP with it. A thread of the pool may wait, for a hung NFS too.
        "aio": "threads",
        "cache": {"direct": disk.storage_id in direct},
        "locking": "on",
        "discard": "unmap",
    })  # fmt: skip
    words += _blockdev({
        "driver": "qcow2",
        "node-name": f"{me}.image",
        "file": f"{me}.file",
        "backing": backing,  # null for a blank disk: the path inside the image is never followed
        "discard": "unmap",
    })  # fmt: skip
    words += ["-object", f"throttle-group,id={me}.group"]
    words += _blockdev({
        "driver": "throttle",
        "node-name": throttled_node(index),
        "throttle-group": f"{me}.group",
        "file": f"{me}.image",
        "discard": "unmap",  # each node drops what it was not told to pass on
    })  # fmt: skip
    boot = {"bootindex": _boot_index(machine, index)} if disk.boot else {}
    return words + _device(
        driver="virtio-blk-pci",
        id=me,
        drive=throttled_node(index),
        serial=disk.name[:SERIAL_LIMIT],
        werror="stop",
        rerror="stop",
        **boot,
    )


def _cdrom(machine: Machine, image: ParentDisk, place: Environment) -> list[str]:
    """IDE: the one CD drive that every installer has a driver for."""
    return _parent_nodes("cdrom0", image, place) + _device(
        driver="ide-cd",
        id="cdrom0",
        drive="cdrom0",
        bus="ide.1",
        bootindex=_boot_index(machine, len(machine.disks)),
    )


def _parent_nodes(name: str, parent: ParentDisk, place: Environment) -> list[str]:
    """Read-only and through the page cache: the bytes never change, so all guests of a host share one copy."""
    image: dict[str, object] = {"driver": "raw", "node-name": name, "file": f"{name}.file", "read-only": True}
    if parent.format is ImageFormat.QCOW2:
        image |= {"driver": "qcow2", "backing": None}
    return [
        *_blockdev({
            "driver": "file",
            "node-name": f"{name}.file",
            "filename": str(place.parents / parent.parent / parent_file(parent.format)),
            "cache": {"direct": False},
            "read-only": True,
        }),
        *_blockdev(image),
    ]  # fmt: skip


def _boot_index(machine: Machine, index: int) -> int:
    """1 for the first boot disk, and so on; the CD comes after all of them."""
    return 1 + sum(disk.boot for disk in machine.disks[:index])


def _blockdev(options: dict[str, object]) -> list[str]:
    return ["-blockdev", json.dumps(options)]


def _device(**options: object) -> list[str]:
    return ["-device", json.dumps(options)]


def _escaped(value: str) -> str:
    """QemuOpts: a comma ends a value unless doubled."""
    return value.replace(",", ",,")


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
