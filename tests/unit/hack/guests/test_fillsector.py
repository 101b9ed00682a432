"""Guest C: it fills its disk, and notices a word that is not what it wrote."""

from pathlib import Path

import pytest

from hack.guests import fillsector
from hack.guests.fillsector import CHUNK, Recipe
from tests.unit.hack.guests.booting import first_lines, needs_qemu


@pytest.mark.parametrize("size", [0, 32 << 10, (64 << 10) + 512, 65537 * (32 << 10)])
def test_a_disk_is_some_whole_chunks(size: int) -> None:
    with pytest.raises(ValueError, match="chunks"):
        Recipe(size)


@needs_qemu
def test_it_fills_its_disk_and_finds_what_it_wrote(tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(fillsector.disk(Recipe(1 << 20)))
    assert boot(disk) == fillsector.OK
    content = disk.read_bytes()
    chunks = [content[at : at + CHUNK] for at in range(CHUNK, len(content), CHUNK)]
    assert [int.from_bytes(chunk[:2], "little") for chunk in chunks] == list(range(31))
    assert chunks[1][2:4] == (1 + 0x9E37).to_bytes(2, "little")


@needs_qemu
def test_it_notices_a_word_that_is_not_what_it_expects(tmp_path: Path) -> None:
    content = fillsector.disk(Recipe(1 << 20))
    write, step, compare = content.partition(b"\x05\x37\x9e")  # add ax, 0x9E37
    assert step in compare
    disk = tmp_path / "disk.raw"
    disk.write_bytes(write + step + compare.replace(step, b"\x05\x38\x9e", 1))
    assert boot(disk) == "FILL-UP WRITTEN FILL-BAD"


def boot(disk: Path) -> str:
    [line] = first_lines(["-drive", f"file={disk},if=virtio,format=raw"])
    return line
