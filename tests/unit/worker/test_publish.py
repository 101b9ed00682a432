"""Publication itself: on this kernel's renameat2, and on file systems that know no RENAME_NOREPLACE."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goldpool.worker import publish


@pytest.fixture(params=["renameat2", "without the flag"])
def rename(request: pytest.FixtureRequest) -> Callable[..., None]:
    if request.param == "renameat2":
        return publish.rename
    return lambda source, target, *, source_at, target_at: publish._rename_without_flag(
        source, target, source_at, target_at
    )


@pytest.mark.parametrize(
    "occupy",
    [
        lambda path: path.mkdir(),
        lambda path: path.write_text("taken"),
        lambda path: path.symlink_to("/nowhere"),
        lambda path: (path.mkdir(), (path / "file").write_text("taken")),
    ],
    ids=["empty directory", "file", "dangling link", "directory"],
)
def test_nothing_is_renamed_over_something(tmp_path: Path, rename: Callable[..., None], occupy: Any) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new/disk").write_text("new")
    occupy(tmp_path / "name")
    with publish.directory(tmp_path) as at, pytest.raises(FileExistsError):
        rename("new", "name", source_at=at, target_at=at)
    assert (tmp_path / "new/disk").read_text() == "new"
    assert not (tmp_path / "name/disk").exists()


def test_a_free_name_is_taken(tmp_path: Path, rename: Callable[..., None]) -> None:
    (tmp_path / "new").mkdir()
    with publish.directory(tmp_path) as at:
        rename("new", "name", source_at=at, target_at=at)
    assert [path.name for path in tmp_path.iterdir()] == ["name"]


def test_a_missing_source_is_told_apart_from_a_taken_name(
    tmp_path: Path, rename: Callable[..., None]
) -> None:
    with publish.directory(tmp_path) as at, pytest.raises(FileNotFoundError):
        rename("new", "name", source_at=at, target_at=at)


def test_a_link_is_not_opened_as_a_directory_nor_read_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with publish.directory(tmp_path) as at:
        with pytest.raises(NotADirectoryError), publish.directory("link", at=at):
            pass
        with pytest.raises(OSError, match="symbolic links"):
            publish.read_file("link", at=at)
