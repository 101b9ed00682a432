"""Images without a registry: OCI archives, written with the standard library and imported on every node.

An archive is a tar file of an OCI image layout (index.json, blobs/sha256/...); each image in its index carries its full
name as annotation `io.containerd.image.name` or `org.opencontainers.image.ref.name`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hack.cluster import config
from hack.cluster.commands import CommandFailedError, run

NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_IMPORT_ATTEMPTS = 6


def write_archive(archive: Path, name: str, program: Path) -> None:
    """An OCI archive of one image whose only content is a static program, its entrypoint. The same program gives the
    same bytes."""
    layer = _tar({program.name: program.read_bytes()}, mode=0o755)
    packed = gzip.compress(layer, compresslevel=6, mtime=0)
    image = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    blobs: dict[str, bytes] = {}

    def put(media_type: str, content: bytes) -> dict[str, Any]:
        digest = _digest(content)
        blobs[f"blobs/{digest.replace(':', '/')}"] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": put(_CONFIG, _json(image)),
        "layers": [put(_LAYER, packed)],
    }
    described = put(_MANIFEST, _json(manifest))
    described["annotations"] = dict.fromkeys(NAME_ANNOTATIONS, name)
    index = {"schemaVersion": 2, "manifests": [described]}
    files = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": _json(index), **blobs}
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_suffix(".unfinished")
    unfinished.write_bytes(_tar(files, mode=0o644))
    unfinished.rename(archive)


def _tar(files: Mapping[str, bytes], mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def archive_index(archive: Path) -> bytes:
    """The archive's index.json. Raises ValueError when it has none."""
    with tarfile.open(archive) as tar:
        for entry in tar:
            if entry.name.removeprefix("./") == "index.json":
                file = tar.extractfile(entry)
                assert file is not None
                return file.read()
    raise ValueError(f"{archive} is no OCI archive: it has no index.json")


def named_digests(index: bytes) -> dict[str, str]:
    """Digest by image name. Raises ValueError for an image without a full name: no pod could ask for it."""
    images: dict[str, str] = {}
    for manifest in json.loads(index)["manifests"]:
        annotations = manifest.get("annotations") or {}
        name = next((annotations[key] for key in NAME_ANNOTATIONS if key in annotations), None)
        if name is None or "/" not in name or ":" not in name.rsplit("/", 1)[-1]:
            raise ValueError(f"an image is named {name!r}; needed is registry/name:tag")
        images[name] = manifest["digest"]
    if not images:
        raise ValueError("the archive holds no image")
    return images


def parse_images(ctr_said: str) -> dict[str, str]:
    """Digest by name, from the table of `ctr images ls`."""
    rows = (line.split() for line in ctr_said.splitlines()[1:])
    return {row[0]: row[2] for row in rows if len(row) > 2}


def ctr(layout: config.Layout, node: config.Node) -> list[str]:
    return ["ctr", "--address", str(layout.containerd_socket(node)), "--namespace", "k8s.io"]


def import_archive(ctr: Sequence[str], archive: Path) -> None:
    """Imports and unpacks; `ctr` is the command line up to its subcommand.

    Once more when a snapshot or a blob is missed. An import takes names from older images, and containerd 1.6 before
    1.6.37 may collect the layers of those while it counts on them ("parent snapshot does not exist: not found",
    containerd pull request 10764); the next attempt unpacks what was collected.
    """
    for attempt in range(1, _IMPORT_ATTEMPTS + 1):
        try:
            run([*ctr, "images", "import", str(archive)], timeout=900)
            return
        except CommandFailedError as error:
            if "not found" not in error.said or attempt == _IMPORT_ATTEMPTS:
                raise


def load_on(layout: config.Layout, node: config.Node, archive: Path, index: bytes) -> bool:
    """Imports and unpacks the archive on a node. False when the node has these very images, unpacked, under these very
    names: a name that another archive has taken meanwhile is imported again.

    Unpacking at once matters: otherwise the first container of a large image waits for it.
    """
    wanted = named_digests(index)
    marker = layout.node(node) / "loaded" / hashlib.sha256(index).hexdigest()
    if marker.exists() and wanted.items() <= parse_images(run([*ctr(layout, node), "images", "ls"])).items():
        return False
    import_archive(ctr(layout, node), archive)
    present = parse_images(run([*ctr(layout, node), "images", "ls"]))
    absent = sorted(name for name in wanted if present.get(name) != wanted[name])
    if absent:
        raise RuntimeError(f"{node.name}: not there after the import: {', '.join(absent)}")
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
    return True


def load(layout: config.Layout, archive: Path) -> dict[str, bool]:
    """Imports the archive on all nodes at once; whether each node needed it."""
    index = archive_index(archive)
    with ThreadPoolExecutor(len(config.NODES)) as threads:
        needed = threads.map(lambda node: load_on(layout, node, archive, index), config.NODES)
        return {node.name: need for node, need in zip(config.NODES, needed, strict=True)}


def provide_pause(directory: Path) -> Path:
    """The archive of the pause image, made from the program of that directory of the cache."""
    archive = directory.with_name(f"{directory.name}.tar")
    if not archive.exists():
        write_archive(archive, config.PAUSE_IMAGE, directory / "pause")
    return archive
