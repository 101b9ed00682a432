"""Guest A: its sum is what the guest prints."""

import struct
import subprocess
from pathlib import Path

import pytest

from hack.guests import bootsector
from hack.guests.bootsector import Recipe
from tests.unit.hack.guests.booting import MACHINE, STUCK_SECONDS, needs_qemu


def test_unless_told_otherwise_it_is_the_sector_that_is_committed() -> None:
    assert bootsector.boot_sector() == Path(bootsector.__file__).with_name("bootsector.bin").read_bytes()


@pytest.mark.parametrize(("nchunk", "stride"), [(64, 64), (0, 64), (1, 4096)])
def test_a_sector_carries_its_parameters(nchunk: int, stride: int) -> None:
    sector = bootsector.boot_sector(nchunk, stride)
    assert len(sector) == 512
    assert sector[-2:] == b"\x55\xaa"
    assert struct.unpack_from("<HI", sector, 0x1F0) == (nchunk, stride)


def test_a_disk_is_the_same_everywhere_and_another_with_another_seed() -> None:
    small = Recipe(size=1 << 20, nchunk=4)
    content = bootsector.disk(small)
    assert len(content) == small.size
    assert content[512 : 32 << 10] == b"\0" * ((32 << 10) - 512)
    assert content == bootsector.disk(small)
    assert content != bootsector.disk(Recipe(seed=1, size=1 << 20, nchunk=4))


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (Recipe(), 0x0E7D),  # as QEMU 7.2 printed it
        (Recipe(nchunk=0), 0),
    ],
)
def test_the_expected_sum_is_what_the_guest_printed(recipe: Recipe, expected: int) -> None:
    assert bootsector.expected_sum(recipe) == expected


@pytest.mark.parametrize(
    ("size", "nchunk", "stride"),
    [
        (64 << 10, 2, 64),
        (96 << 10, 2, 65),  # one sector beyond the end
        ((64 << 10) + 1, 1, 64),  # no whole sectors
    ],
)
def test_chunks_must_lie_on_the_disk(size: int, nchunk: int, stride: int) -> None:
    with pytest.raises(ValueError, match="does not hold"):
        Recipe(size=size, nchunk=nchunk, stride=stride)


@needs_qemu
def test_it_boots_sums_and_counts(tmp_path: Path) -> None:
    recipe = Recipe(seed=7, size=1 << 20, nchunk=8, stride=128)
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bootsector.disk(recipe))
    words = [*MACHINE.split(), "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    words += ["-drive", f"file={disk},if=virtio,format=raw"]
    for boot in (1, 2):
        done = subprocess.run(
            words,
            capture_output=True,
            check=False,
            timeout=STUCK_SECONDS,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert bootsector.expected_line(recipe, boot) in done.stdout
        assert done.returncode == 33
