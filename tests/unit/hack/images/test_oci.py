"""One archive holds several images, each under its full name, and shared layers once."""

import gzip
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

from hack.images import oci


def a_blob(layout: Path, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    path = layout / "blobs" / "sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"digest": f"sha256:{digest}", "size": len(content)}


def a_layout(root: Path, images: dict[str, list[bytes]]) -> Path:
    """A layout with one image per name; a layer is given by what it holds."""
    manifests = []
    for name, layers in images.items():
        manifest = {
            "config": a_blob(root, json.dumps({"for": name}).encode()),
            "layers": [a_blob(root, gzip.compress(layer, mtime=0)) for layer in layers],
        }
        entry = a_blob(root, json.dumps(manifest).encode())
        manifests.append({**entry, "annotations": {oci.REF_NAME: name}})
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="ascii")
    index = {"schemaVersion": 2, "manifests": manifests}
    (root / "index.json").write_text(json.dumps(index), encoding="ascii")
    return root


def test_the_index_names_images_for_containerd_and_drops_nameless_ones() -> None:
    index = {
        "schemaVersion": 2,
        "manifests": [{"digest": "a", "annotations": {oci.REF_NAME: "r/x:1"}}, {"digest": "b"}],
    }
    named = oci.named_for_containerd(index)
    assert [entry["annotations"][oci.CONTAINERD_NAME] for entry in named["manifests"]] == ["r/x:1"]


def test_an_archive_holds_shared_layers_once(tmp_path: Path) -> None:
    layout = a_layout(tmp_path / "oci", {"r/a:1": [b"base", b"a"], "r/b:1": [b"base", b"b"]})
    archive = tmp_path / "images.tar"
    oci.pack(layout, archive)
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert names[:2] == ["oci-layout", "index.json"]
    assert len(names) == len(set(names)) == 2 + 2 + 2 + 3  # manifests, configs, layers


def test_equal_layouts_give_equal_archives(tmp_path: Path) -> None:
    archives = []
    for name in ("one", "two"):
        layout = a_layout(tmp_path / name, {"r/a:1": [b"base"]})
        oci.pack(layout, tmp_path / f"{name}.tar")
        archives.append((tmp_path / f"{name}.tar").read_bytes())
    assert archives[0] == archives[1]


def test_prune_removes_only_what_no_image_needs(tmp_path: Path) -> None:
    layout = a_layout(tmp_path / "oci", {"r/a:1": [b"base"]})
    stale = a_blob(layout, b"an older manifest")
    index = json.loads((layout / "index.json").read_bytes())
    index["manifests"].append(stale)  # without its name, as buildah leaves it
    (layout / "index.json").write_text(json.dumps(index), encoding="ascii")
    oci.prune(layout)
    assert not oci.blob(layout, stale["digest"]).exists()
    assert len(json.loads((layout / "index.json").read_bytes())["manifests"]) == 1
    assert all(path.exists() for path in oci.referenced(layout))


def test_sizes_count_each_layer_as_sent_and_as_unpacked(tmp_path: Path) -> None:
    layer = b"\0" * 5000
    layout = a_layout(tmp_path / "oci", {"r/b:1": [layer, b"b"], "r/a:1": [layer]})
    oci.pack(layout, tmp_path / "images.tar")
    first, second = oci.sizes(tmp_path / "images.tar")
    assert (first.name, first.unpacked) == ("r/a:1", 5000)
    assert (second.name, second.unpacked) == ("r/b:1", 5001)
    assert first.compressed == len(gzip.compress(layer, mtime=0))


def test_the_table_ends_with_the_archive() -> None:
    lines = list(oci.table([oci.ImageSize("r/a:1", 2 << 20, 5 << 20)], 3 << 20))
    assert lines[2] == "| r/a:1 | 2 MiB | 5 MiB |"
    assert "3 MiB" in lines[-1]
