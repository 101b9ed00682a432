"""Where promtool is looked for; that it works is what the alerts' tests show."""

from pathlib import Path

import pytest

from hack.pipeline import promtool


def a_program(directory: Path) -> Path:
    directory.mkdir(parents=True)
    path = directory / "promtool"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty, and nothing on the PATH."""
    monkeypatch.setenv("GOLDPOOL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "cache/goldpool/promtool"


def test_without_any_there_is_none(cache: Path) -> None:
    assert promtool.program() is None


def test_what_was_unpacked_is_found_and_not_downloaded_again(cache: Path) -> None:
    kept = a_program(cache)
    assert promtool.program() == promtool.provide() == kept


def test_the_machines_own_goes_first(cache: Path, tmp_path: Path) -> None:
    a_program(cache)
    own = a_program(tmp_path / "path")
    assert promtool.program() == promtool.provide() == own
