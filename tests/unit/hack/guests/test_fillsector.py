"""Guest C: the committed sector is its source, and it notices a word that is not what it wrote."""

import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from hack.guests import fillsector
from hack.guests.fillsector import CHUNK, Recipe

SOURCE = Path(fillsector.__file__).with_name("fillsector.S")
QEMU = "qemu-system-x86_64 -accel tcg -m 16 -nodefaults -no-user-config -display none -serial stdio"


@pytest.mark.skipif(shutil.which("as") is None or shutil.which("ld") is None, reason="needs binutils")
def test_the_committed_sector_is_its_source_assembled(tmp_path: Path) -> None:
    made = tmp_path / "fillsector.bin"
    subprocess.run(["as", "--32", "-o", tmp_path / "o", SOURCE], check=True)
    link = ["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o"]
    subprocess.run([*link, made, tmp_path / "o"], check=True)
    assert made.read_bytes() == SOURCE.with_suffix(".bin").read_bytes()


@pytest.mark.parametrize("size", [0, 32 << 10, (64 << 10) + 512, 65537 * (32 << 10)])
def test_a_disk_is_some_whole_chunks(size: int) -> None:
    with pytest.raises(ValueError, match="chunks"):
        Recipe(size)


@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="needs QEMU")
def test_it_fills_its_disk_and_finds_what_it_wrote(tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(fillsector.disk(Recipe(1 << 20)))
    assert boot(disk) == fillsector.OK
    content = disk.read_bytes()
    chunks = [content[at : at + CHUNK] for at in range(CHUNK, len(content), CHUNK)]
    assert [int.from_bytes(chunk[:2], "little") for chunk in chunks] == list(range(31))
    assert chunks[1][2:4] == (1 + 0x9E37).to_bytes(2, "little")


@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="needs QEMU")
def test_it_notices_a_word_that_is_not_what_it_expects(tmp_path: Path) -> None:
    content = fillsector.disk(Recipe(1 << 20))
    write, step, compare = content.partition(b"\x05\x37\x9e")  # add ax, 0x9E37
    assert step in compare
    disk = tmp_path / "disk.raw"
    disk.write_bytes(write + step + compare.replace(step, b"\x05\x38\x9e", 1))
    assert boot(disk) == "FILL-UP WRITTEN FILL-BAD"


def boot(disk: Path) -> str:
    """The guest's line; it halts then, and QEMU is ended."""
    drive = ["-drive", f"file={disk},if=virtio,format=raw"]
    with subprocess.Popen([*QEMU.split(), *drive], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as guest:
        assert guest.stdout is not None
        watchdog = threading.Timer(60, guest.kill)
        watchdog.start()
        line = guest.stdout.readline().decode().strip()
        watchdog.cancel()
        guest.kill()
    return line
