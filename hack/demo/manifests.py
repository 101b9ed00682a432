"""The numbered objects of examples/, as the demo applies them. Pure but for reading the files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

Obj = dict[str, Any]
PART_OF = "app.kubernetes.io/part-of"
DEMO = "goldpool-demo"
SELECTOR = f"{PART_OF}={DEMO}"


def read(directory: Path) -> list[Obj]:
    """All documents of the directory's numbered files, in their order. The others need images that the demo has not."""
    files = sorted(directory.glob("[0-9]*.yaml"))
    return [obj for file in files for obj in yaml.safe_load_all(file.read_text(encoding="utf-8")) if obj]


def rendered(examples: Iterable[Obj], *, url: str, checksum: str) -> list[Obj]:
    """The examples with the image that the demo serves, labelled so that a later run finds them."""
    return [_labelled(_sourced(obj, url, checksum)) for obj in examples]


def names(objects: Iterable[Obj], kind: str) -> set[str]:
    """Names of a kind, with their namespace before them where they have one."""
    return {_name(obj["metadata"]) for obj in objects if obj["kind"] == kind}


def _name(metadata: Obj) -> str:
    return "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))


def _sourced(obj: Obj, url: str, checksum: str) -> Obj:
    if obj["kind"] != "Template":
        return obj
    spec = obj["spec"]
    return {**obj, "spec": {**spec, "source": {**spec["source"], "url": url}, "checksum": checksum}}


def _labelled(obj: Obj) -> Obj:
    metadata = obj["metadata"]
    return {**obj, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), PART_OF: DEMO}}}
