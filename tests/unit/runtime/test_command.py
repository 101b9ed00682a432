import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from goldpool.contracts.machine import Machine
from goldpool.runtime.accelerator import Accelerator
from goldpool.runtime.command import command_line
from goldpool.runtime.environment import Environment
from tests.unit.runtime.builders import UID, a_disk, a_machine, a_parent

TCG = Accelerator("tcg", "max", "")
KVM = Accelerator("kvm", "host", "")


def line(
    machine: Machine, accelerator: Accelerator = TCG, direct: frozenset[str] = frozenset({"v-1"})
) -> list[str]:
    return command_line(machine, accelerator, direct, Environment(), 9)


def values(argv: list[str], option: str) -> list[str]:
    return [value for word, value in itertools.pairwise(argv) if word == option]


def nodes(argv: list[str]) -> dict[str, dict[str, Any]]:
    return {node["node-name"]: node for node in map(json.loads, values(argv, "-blockdev"))}


def devices(argv: list[str]) -> dict[str, dict[str, Any]]:
    return {d["id"]: d for d in map(json.loads, values(argv, "-device")) if "id" in d}


def test_a_machine_with_one_child_golden() -> None:
    assert line(a_machine()) == [
        "qemu-system-x86_64",
        "-nodefaults", "-no-user-config", "-S", "-no-shutdown",
        "-name", "guest=web-1",
        "-uuid", UID,
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-machine", "pc,dump-guest-core=off",
        "-accel", "tcg,tb-size=128",
        "-cpu", "max",
        "-smp", "cpus=1,sockets=1,cores=1,threads=1",
        "-m", "size=67108864b",
        "-rtc", "base=utc",
        "-display", "none", "-vga", "none",
        "-chardev", "socket,id=monitor,path=/run/goldpool/qmp.sock,server=on,wait=off",
        "-mon", "chardev=monitor,mode=control",
        "-add-fd", "fd=9,set=1",
        "-chardev", ("socket,id=serial0,path=/run/goldpool/serial.sock,server=on,wait=off,"
                     "logfile=/dev/fdset/1,logappend=on"),
        "-serial", "chardev:serial0",
        "-netdev", "user,id=net0",
        "-device", '{"driver": "virtio-net-pci", "id": "net0", "netdev": "net0", "romfile": ""}',
        "-object", "rng-random,id=rng0,filename=/dev/urandom",
        "-device", '{"driver": "virtio-rng-pci", "rng": "rng0"}',
        "-blockdev", ('{"driver": "file", "node-name": "disk0.parent.file", "filename": "/parents/p-1/disk.qcow2",'
        ' "cache": {"direct": false}, "read-only": true}'),
        "-blockdev", ('{"driver": "qcow2", "node-name": "disk0.parent", "file": "disk0.parent.file",'
        ' "read-only": true, "backing": null}'),
        "-blockdev", ('{"driver": "file", "node-name": "disk0.file", "filename": "/disks/v-1/disk.qcow2",'
        ' "aio": "threads", "cache": {"direct": true}, "locking": "on", "discard": "unmap"}'),
        "-blockdev", ('{"driver": "qcow2", "node-name": "disk0.image", "file": "disk0.file",'
        ' "backing": "disk0.parent", "discard": "unmap"}'),
        "-object", "throttle-group,id=disk0.group",
        "-blockdev", ('{"driver": "throttle", "node-name": "disk0.throttle", "throttle-group": "disk0.group",'
        ' "file": "disk0.image", "discard": "unmap"}'),
        "-device", ('{"driver": "virtio-blk-pci", "id": "disk0", "drive": "disk0.throttle", "serial": "root",'
        ' "werror": "stop", "rerror": "stop", "bootindex": 1}'),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("machine", "option", "expected"),
    [
        (a_machine(cpus=4), "-smp", ["cpus=4,sockets=1,cores=4,threads=1"]),
        (a_machine(memory_bytes=2 << 30), "-m", ["size=2147483648b"]),
        (a_machine(name="a,b"), "-name", ["guest=a,,b"]),  # not an option of its own
        (a_machine(uid="no-uuid"), "-uuid", []),
        (a_machine(uid=UID.upper()), "-uuid", [UID.upper()]),
    ],
)
def test_the_machine_is_as_told(machine: Machine, option: str, expected: list[str]) -> None:
    assert values(line(machine), option) == expected


@pytest.mark.parametrize(
    ("accelerator", "accel", "cpu"), [(TCG, "tcg,tb-size=128", "max"), (KVM, "kvm", "host")]
)
def test_the_cpu_follows_the_accelerator(accelerator: Accelerator, accel: str, cpu: str) -> None:
    argv = line(a_machine(), accelerator)
    assert (values(argv, "-accel"), values(argv, "-cpu")) == ([accel], [cpu])


@pytest.mark.parametrize(("direct", "expected"), [(frozenset({"v-1"}), True), (frozenset(), False)])
def test_a_child_is_opened_past_the_page_cache_where_possible(direct: frozenset[str], expected: bool) -> None:
    assert nodes(line(a_machine(), direct=direct))["disk0.file"]["cache"] == {"direct": expected}


@pytest.mark.parametrize(
    ("format_", "driver", "file"),
    [("qcow2", "qcow2", "disk.qcow2"), ("raw", "raw", "disk.raw"), ("iso", "raw", "disk.iso")],
)
def test_a_parent_is_opened_with_its_declared_format(format_: str, driver: str, file: str) -> None:
    found = nodes(line(a_machine(a_disk(parent=a_parent(format=format_)))))
    assert found["disk0.parent"]["driver"] == driver
    assert found["disk0.parent"]["read-only"] is True
    assert found["disk0.parent.file"]["filename"] == f"/parents/p-1/{file}"


def test_every_qcow2_node_has_an_explicit_backing_and_none_names_a_data_file() -> None:
    argv = line(a_machine(a_disk(), a_disk(name="data", storage_id="v-2", parent=None, boot=False)))
    backings = {name: n["backing"] for name, n in nodes(argv).items() if n["driver"] == "qcow2"}
    assert backings == {"disk0.parent": None, "disk0.image": "disk0.parent", "disk1.image": None}
    assert "data-file" not in " ".join(argv)


def test_boot_disks_are_tried_in_order_and_the_cdrom_last() -> None:
    disks = (
        a_disk(name="data", storage_id="v-1", boot=False),
        a_disk(name="root", storage_id="v-2"),
        a_disk(name="rescue", storage_id="v-3"),
    )
    found = devices(line(a_machine(*disks, cdrom=a_parent(parent="iso-1", format="iso"))))
    order = {id_: device.get("bootindex") for id_, device in found.items() if id_ != "net0"}
    assert order == {"disk0": None, "disk1": 1, "disk2": 2, "cdrom0": 3}


def test_an_installer_boots_on_a_machine_without_boot_disk() -> None:
    argv = line(a_machine(a_disk(boot=False, parent=None), cdrom=a_parent(parent="iso-1", format="iso")))
    assert devices(argv)["cdrom0"]["bootindex"] == 1
    assert nodes(argv)["cdrom0"] == {
        "driver": "raw", "node-name": "cdrom0", "file": "cdrom0.file", "read-only": True,
    }  # fmt: skip


def test_a_serial_number_fits_virtio_and_node_names_fit_qemu() -> None:
    argv = line(a_machine(*(a_disk(name="d" * 63, storage_id=f"v-{i}") for i in range(20))))
    assert devices(argv)["disk19"]["serial"] == "d" * 20
    assert max(map(len, nodes(argv))) <= 31


def test_paths_with_commas_stay_one_value() -> None:
    place = Environment(run=Path("/run/a,b"), disks=Path("/disks,ro=on"))
    argv = command_line(a_machine(), TCG, {"v-1"}, place, 9)
    assert "socket,id=monitor,path=/run/a,,b/qmp.sock,server=on,wait=off" in argv
    assert nodes(argv)["disk0.file"]["filename"] == "/disks,ro=on/v-1/disk.qcow2"
