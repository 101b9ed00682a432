"""KVM where this node really offers it, else TCG. Found out by booting something."""

import asyncio
import os
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from goldpool.runtime.process import kill, spawn

KVM_CPUS: Final = ("host", "host,-arch-capabilities")
"""Tried in order: some nested hypervisors abort on the MSRs of the plain host model (data-plane.md §3.1)."""

TCG_CPU: Final = "max"
"""All that TCG can do: distributions built for x86-64-v2 and v3 do not boot on the default qemu64."""

_TEXT: Final = b"GOLDPOOL-PROBE"
_EXIT_CODE: Final = 33  # isa-debug-exit: (0x10 << 1) | 1

# Counts 2^24 down before it speaks: a few milliseconds on real KVM and 0.1 s with TCG, but far over any time limit
# where /dev/kvm is itself emulated instruction by instruction, and guests crawl or die in their boot loader.
_PROBE_CODE: Final = bytes.fromhex(
    "fa 31c0 8ed8"  # cli; ds = 0
    "66b900000001"  # mov ecx, 1 << 24
    "6649 75fc"  # dec ecx; jnz
    "be 317c fc"  # mov si, text; cld
    "ac 84c0 7412 88c3"  # next: lodsb; at the terminating zero go to done
    "bafd03 ec a820 74fb"  # wait until COM1 takes a byte
    "88d8 baf803 ee ebe9"  # send it; next
    "b010 e6f4"  # done: 0x10 to isa-debug-exit
    "f4 ebfd"  # hlt for ever
)
_PROBE_BYTES: Final = 1 << 20  # SeaBIOS does not boot a disk smaller than one cylinder (504 KiB)


@dataclass(frozen=True)
class Accelerator:
    """``name`` as in ``-accel``, ``cpu`` as in ``-cpu``; ``why`` is for the log and people."""

    name: str
    cpu: str
    why: str


def boot_sector() -> bytes:
    """A disk that prints its text on COM1 and leaves through isa-debug-exit at 0xF4."""
    sector = (_PROBE_CODE + _TEXT + b"\r\n\0").ljust(510, b"\0") + b"\x55\xaa"
    return sector.ljust(_PROBE_BYTES, b"\0")


def proves(exit_code: int, output: bytes) -> bool:
    """Both: an aborted guest can leave any exit code, and one that only spoke may have hung afterwards."""
    return exit_code == _EXIT_CODE and _TEXT in output


async def choose(qemu: str, kvm: Path, run: Path, seconds: float) -> Accelerator:
    """KVM only if a guest ran under it within ``seconds``; writes ``probe.img`` to ``run``. Takes little more than
    ``seconds`` at worst, and no time without an openable ``kvm`` device."""
    try:
        os.close(os.open(kvm, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return Accelerator("tcg", TCG_CPU, f"{kvm}: {error.strerror}")
    disk = run / "probe.img"
    disk.write_bytes(boot_sector())
    failures = []
    for cpu in KVM_CPUS:
        try:
            failure = await boot(qemu, "kvm", cpu, disk, seconds)
        except TimeoutError:
            failures.append(f"{cpu}: no end within {seconds:g} s")
            break  # another model cures an abort, not slowness
        if not failure:
            return Accelerator("kvm", cpu, "booted the probe")
        failures.append(f"{cpu}: {failure}")
    return Accelerator("tcg", TCG_CPU, "; ".join(failures))


async def boot(qemu: str, accelerator: str, cpu: str, disk: Path, seconds: float) -> str:
    """Why the probe did not end as it should; empty when it did. Raises TimeoutError when it did not end at all."""
    process = await spawn(_probe_command(qemu, accelerator, cpu, disk), PIPE, PIPE)
    try:
        async with asyncio.timeout(seconds):
            output, errors = await process.communicate()
    finally:
        kill(process)
        await process.wait()
    exit_code = process.returncode or 0
    if proves(exit_code, output):
        return ""
    said = errors.decode(errors="replace").strip().splitlines()
    return said[-1][-200:] if said else f"exit code {exit_code}"


def _probe_command(qemu: str, accelerator: str, cpu: str, disk: Path) -> list[str]:
    path = str(disk).replace(",", ",,")
    return [
        qemu, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc", "-m", "16",
        "-accel", accelerator, "-cpu", cpu, "-no-reboot",
        "-chardev", "stdio,id=serial0,signal=off", "-serial", "chardev:serial0",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
        "-blockdev", f"driver=raw,node-name=probe,read-only=on,file.driver=file,file.filename={path}",
        "-device", "virtio-blk-pci,drive=probe",
    ]  # fmt: skip
