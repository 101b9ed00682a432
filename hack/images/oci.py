"""OCI image layouts (image-spec 1.0, image-layout.md): several images in one archive, their shared layers once."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

REF_NAME = "org.opencontainers.image.ref.name"
# containerd prefers this one and takes it as it is; the standard one it may prefix (`ctr images import --base-name`).
CONTAINERD_NAME = "io.containerd.image.name"
_MEBI = 1 << 20


@dataclass(frozen=True)
class ImageSize:
    """Bytes of one image's layers: as stored and sent, and as tar streams."""

    name: str
    compressed: int
    unpacked: int


def named_for_containerd(index: dict[str, Any]) -> dict[str, Any]:
    """The index with every manifest's full reference where containerd looks first."""
    manifests = [
        {**entry, "annotations": {**entry["annotations"], CONTAINERD_NAME: entry["annotations"][REF_NAME]}}
        for entry in index["manifests"]
        if REF_NAME in entry.get("annotations", {})
    ]
    return {**index, "manifests": manifests}


def blob(layout: Path, digest: str) -> Path:
    """Where a layout keeps the bytes of a digest."""
    algorithm, _, value = digest.partition(":")
    return layout / "blobs" / algorithm / value


def referenced(layout: Path) -> set[Path]:
    """Every blob that the index's named images need."""
    needed = set()
    for entry in named_for_containerd(_read(layout / "index.json"))["manifests"]:
        manifest = blob(layout, entry["digest"])
        needed.add(manifest)
        content = _read(manifest)
        needed |= {blob(layout, part["digest"]) for part in (content["config"], *content["layers"])}
    return needed


def prune(layout: Path) -> None:
    """Remove images that lost their name to a newer one (buildah leaves them in the index), and their blobs."""
    index = layout / "index.json"
    index.write_text(json.dumps(named_for_containerd(_read(index))), encoding="utf-8")
    needed = referenced(layout)
    for path in (layout / "blobs").glob("*/*"):
        if path not in needed:
            path.unlink()


def pack(layout: Path, archive: Path) -> None:
    """Write the layout as one tar; equal layouts give equal bytes. Not compressed: its layers are."""
    index = json.dumps(named_for_containerd(_read(layout / "index.json"))).encode()
    with tarfile.open(archive, "w") as tar:
        _add(tar, "oci-layout", (layout / "oci-layout").read_bytes())
        _add(tar, "index.json", index)
        for path in sorted(referenced(layout)):
            with path.open("rb") as content:
                _add_stream(tar, str(path.relative_to(layout)), content, path.stat().st_size)


def sizes(archive: Path) -> list[ImageSize]:
    """The images of an archive (an OCI layout in a tar) and their sizes. Reads and unpacks every layer once."""
    with tarfile.open(archive, "r:") as tar:
        members = {member.name: member for member in tar if member.isfile()}

        def read(name: str) -> bytes:
            content = tar.extractfile(members[name])
            assert content is not None
            return content.read()

        unpacked: dict[str, int] = {}
        found = []
        for entry in json.loads(read("index.json"))["manifests"]:
            manifest = json.loads(read(_member(entry["digest"])))
            for layer in manifest["layers"]:
                if layer["digest"] not in unpacked:
                    unpacked[layer["digest"]] = _unpacked(read(_member(layer["digest"])))
            annotations = entry.get("annotations", {})
            found.append(
                ImageSize(
                    name=annotations.get(CONTAINERD_NAME) or annotations.get(REF_NAME, "?"),
                    compressed=sum(layer["size"] for layer in manifest["layers"]),
                    unpacked=sum(unpacked[layer["digest"]] for layer in manifest["layers"]),
                )
            )
    return sorted(found, key=lambda size: size.name)


def table(found: list[ImageSize], archive_bytes: int) -> Iterator[str]:
    """The sizes as a Markdown table."""
    yield "| image | compressed | unpacked |"
    yield "|---|---|---|"
    for size in found:
        yield f"| {size.name} | {size.compressed // _MEBI} MiB | {size.unpacked // _MEBI} MiB |"
    yield f"| all in one archive, shared layers once | {archive_bytes // _MEBI} MiB | |"


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def _member(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _unpacked(layer: bytes) -> int:
    if layer[:2] != b"\x1f\x8b":
        return len(layer)
    total = 0
    with gzip.GzipFile(fileobj=io.BytesIO(layer)) as stream:
        while part := stream.read(_MEBI):
            total += len(part)
    return total


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    _add_stream(tar, name, io.BytesIO(content), len(content))


def _add_stream(tar: tarfile.TarFile, name: str, content: BinaryIO, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    tar.addfile(member, content)
