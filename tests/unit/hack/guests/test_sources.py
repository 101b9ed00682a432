"""Guests without an operating system: what is committed is its source, assembled."""

import shutil
import subprocess
from pathlib import Path

import pytest

from hack import guests

SOURCES = sorted(Path(next(iter(guests.__path__))).glob("*.S"))


def test_there_are_sources() -> None:
    assert {source.stem for source in SOURCES} == {"bootsector", "fillsector", "installer"}


@pytest.mark.skipif(shutil.which("as") is None or shutil.which("ld") is None, reason="needs binutils")
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_what_is_committed_is_its_source_assembled(tmp_path: Path, source: Path) -> None:
    made = tmp_path / "made.bin"
    subprocess.run(["as", "--32", "-o", tmp_path / "o", source], check=True)
    link = ["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o"]
    subprocess.run([*link, made, tmp_path / "o"], check=True)
    assert made.read_bytes() == source.with_suffix(".bin").read_bytes()
