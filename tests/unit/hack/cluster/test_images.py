"""Archives without a registry: what is written can be read, and a node needs it or not."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from hack.cluster import images
from hack.cluster.commands import CommandFailedError

NAME = "goldpool.local/pause:1"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "pause").write_bytes(b"\x7fELF of a kind")
    images.write_archive(tmp_path / "pause.tar", NAME, tmp_path / "pause")
    return tmp_path / "pause.tar"


def test_an_archive_is_a_layout_whose_blobs_have_the_digests_they_are_named_by(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        files = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    blobs = {name: content for name, content in files.items() if name.startswith("blobs/sha256/")}
    assert all(hashlib.sha256(content).hexdigest() == Path(name).name for name, content in blobs.items())
    [described] = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(files["blobs/" + described["digest"].replace(":", "/")])
    packed = files["blobs/" + manifest["layers"][0]["digest"].replace(":", "/")]
    image = json.loads(files["blobs/" + manifest["config"]["digest"].replace(":", "/")])
    layer = gzip.decompress(packed)
    assert image["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        [program] = tar.getmembers()
    assert (f"/{program.name}", program.mode) == (image["config"]["Entrypoint"][0], 0o755)


def test_the_same_program_makes_the_same_archive(archive: Path, tmp_path: Path) -> None:
    images.write_archive(tmp_path / "again.tar", NAME, tmp_path / "pause")
    assert (tmp_path / "again.tar").read_bytes() == archive.read_bytes()


def test_an_archive_tells_its_images(archive: Path) -> None:
    named = images.named_digests(images.archive_index(archive))
    assert list(named) == [NAME]
    assert named[NAME].startswith("sha256:")


def test_a_tar_file_without_index_is_no_archive(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w"):
        pass
    with pytest.raises(ValueError, match=r"no index\.json"):
        images.archive_index(tmp_path / "x.tar")


@pytest.mark.parametrize("name", [None, "latest", "worker:dev", "goldpool.local/worker"])
def test_an_image_that_no_pod_could_ask_for_is_refused(name: str | None) -> None:
    annotations = {} if name is None else {images.NAME_ANNOTATIONS[1]: name}
    index = {"manifests": [{"digest": "sha256:1", "annotations": annotations}]}
    with pytest.raises(ValueError, match="registry/name:tag"):
        images.named_digests(json.dumps(index).encode())


def test_an_empty_archive_is_refused() -> None:
    with pytest.raises(ValueError, match="no image"):
        images.named_digests(b'{"manifests": []}')


def test_images_of_a_node_are_read_from_ctrs_table() -> None:
    said = """\
REF                    TYPE                                       DIGEST        SIZE      PLATFORMS   LABELS
goldpool.local/pause:1 application/vnd.oci.image.manifest.v1+json sha256:aa     711.0 KiB linux/amd64 -
sha256:bb              application/vnd.oci.image.manifest.v1+json sha256:aa     711.0 KiB linux/amd64 -
"""
    assert images.parse_images(said) == {"goldpool.local/pause:1": "sha256:aa", "sha256:bb": "sha256:aa"}


def _ctr(directory: Path, failures: int, said: str) -> list[str]:
    """A `ctr` that fails so many times, and appends a line to `calls` each time."""
    program = directory / "ctr"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {directory}/calls\n'
        f'[ "$(wc -l < {directory}/calls)" -gt {failures} ] || {{ echo "ctr: {said}" >&2; exit 1; }}\n'
    )
    program.chmod(0o755)
    return [str(program)]


def test_an_import_whose_layers_were_collected_meanwhile_is_repeated(tmp_path: Path) -> None:
    images.import_archive(
        _ctr(tmp_path, 2, "parent snapshot sha256:66 does not exist: not found"), Path("a.tar")
    )
    assert (tmp_path / "calls").read_text().splitlines() == ["images import a.tar"] * 3


@pytest.mark.parametrize(
    ("said", "calls"),
    [("parent snapshot sha256:66 does not exist: not found", 6), ("no space left on device", 1)],
)
def test_an_import_that_goes_on_failing_is_an_error_with_its_words(
    tmp_path: Path, said: str, calls: int
) -> None:
    with pytest.raises(CommandFailedError, match=said):
        images.import_archive(_ctr(tmp_path, 99, said), Path("a.tar"))
    assert len((tmp_path / "calls").read_text().splitlines()) == calls
