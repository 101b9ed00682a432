"""Built things are found by what they were made from, and are complete or absent."""

from pathlib import Path

import pytest

from hack.images import cache


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"GOLDPOOL_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a/goldpool/images"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/goldpool/images"),
        ({"HOME": "/c"}, "/c/.cache/goldpool/images"),
        ({"GOLDPOOL_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/goldpool/images"),
    ],
)
def test_the_cache_is_outside_the_tree(environ: dict[str, str], expected: str) -> None:
    assert cache.cache_directory("images", environ) == Path(expected)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": b"1", "b": b"2"}, {"b": b"2", "a": b"1"}, True),  # order means nothing
        ({"a": b"1"}, {"a": b"2"}, False),
        ({"a": b"1"}, {"b": b"1"}, False),
        ({"ab": b"c"}, {"a": b"bc"}, False),  # nor do names flow into contents
        ({"a": b""}, {}, False),
    ],
)
def test_a_digest_tells_inputs_apart(one: dict[str, bytes], other: dict[str, bytes], same: bool) -> None:
    assert (cache.digest(one) == cache.digest(other)) is same


def test_source_files_leave_out_what_tools_make(tmp_path: Path) -> None:
    for name in ("a.py", "b/c.py", "b/__pycache__/c.pyc", ".mypy_cache/x", "b/.hidden", "b/d.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in cache.source_files(tmp_path)] == ["a.py", "b/c.py"]


def test_published_shows_a_file_only_when_it_is_complete(tmp_path: Path) -> None:
    final = tmp_path / "there" / "file"
    with cache.published(final) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert not final.exists()
    assert final.read_text(encoding="utf-8") == "new"


def test_published_leaves_the_old_and_no_rest_after_a_failure(tmp_path: Path) -> None:
    final = tmp_path / "file"
    final.write_text("old", encoding="utf-8")

    def failing() -> None:
        with cache.published(final) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert final.read_text(encoding="utf-8") == "old"


def test_published_replaces_a_directory(tmp_path: Path) -> None:
    final = tmp_path / "dir"
    for name in ("old", "new"):
        with cache.published(final) as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert [path.name for path in final.iterdir()] == ["new"]
