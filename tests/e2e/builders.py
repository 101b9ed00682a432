"""Manifests with defaults, so that a test names only what it is about."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hack.cluster import config
from tests.e2e.api import Obj

API_VERSION = "goldpool.io/v1alpha1"
DISKS: Final = config.TEST_SETS[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))]
"""Each worker of a run has disks of its own."""
GOLDEN_DISK, STANDARD_DISK = DISKS.golden.name, DISKS.standard.name
TEST_GOLDEN, TEST_STANDARD = DISKS.golden.path, DISKS.standard.path
_SHARED: Final = "/mnt/goldpool-e2e"
"""Plain directories of the machine, and so the same bytes on every node. The demo may be using /srv/shared."""
SHARED_GOLDEN, SHARED_STANDARD = f"{_SHARED}/{GOLDEN_DISK}", f"{_SHARED}/{STANDARD_DISK}"
PATHS: Final = (TEST_GOLDEN, TEST_STANDARD, SHARED_GOLDEN, SHARED_STANDARD)


def every_path() -> list[str]:
    """Of all workers."""
    disks = [disk for each in config.TEST_SETS for disk in (each.golden, each.standard)]
    return [path for disk in disks for path in (disk.path, f"{_SHARED}/{disk.name}")]


def a_pool(
    name: str,
    *,
    golden: bool = False,
    path: str = "",
    scope: str = "Host",
    hosts: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
    require_mount: bool = True,
    namespaces: Sequence[str] = (),
) -> Obj:
    """On the disks that belong to tests; ``hosts`` are labels of nodes, all nodes without it; ``namespaces`` are those
    it serves."""
    path = path or (TEST_GOLDEN if golden else TEST_STANDARD)
    return {
        "apiVersion": API_VERSION,
        "kind": "StoragePool",
        "metadata": {"name": name},
        "spec": {
            "golden": golden,
            "scope": scope,
            "backend": {"hostPath": {"path": path, "requireMount": require_mount}},
            "hostSelector": {"matchLabels": dict(hosts or {})},
            "tags": list(tags),
            "allowedNamespaces": list(namespaces),
        },
    }


def a_template(
    name: str,
    url: str,
    *,
    checksum: str = "",
    prepare: Sequence[str] = (),
    retention: str = "24h",
    image_format: str = "qcow2",
    golden: bool = True,
) -> Obj:
    spec: dict[str, Any] = {
        "golden": golden,
        "directDownload": True,
        "format": image_format,
        "source": {"url": url},
        "retention": retention,
    }
    if checksum:
        spec["checksum"] = checksum
    if prepare:
        spec["prepare"] = {"pools": list(prepare)}
    return {"apiVersion": API_VERSION, "kind": "Template", "metadata": {"name": name}, "spec": spec}


def a_machine(
    name: str,
    namespace: str,
    *,
    template: str = "",
    volume: str = "",
    memory: str = "32Mi",
    tags: Sequence[str] = (),
    reclaim: str = "Delete",
    run: str = "Always",
    host: str = "",
    data: Mapping[str, str] | None = None,
    stop_seconds: int = 1,
    priority: str = "",
    golden: str = "",
    iso: str = "",
) -> Obj:
    """From a template, on an existing volume or with neither on an empty disk. The boot-sector guest knows no ACPI, hence
    the short stop."""
    if template:
        root: dict[str, Any] = {
            "templateRef": {"name": template},
            "reclaimPolicy": reclaim,
            "poolTags": list(tags),
        }
    elif volume:
        root = {"volumeRef": {"name": volume}}
    else:
        root = {"size": "16Mi", "reclaimPolicy": reclaim, "poolTags": list(tags)}
    spec: dict[str, Any] = {
        "cpus": 1,
        "memory": memory,
        "rootVolume": root,
        "runStrategy": run,
        "stopTimeoutSeconds": stop_seconds,
    }
    if host:
        spec["nodeSelector"] = {"kubernetes.io/hostname": host}
    if golden:
        spec["goldenPolicy"] = golden
    if priority:
        spec["priorityClassName"] = priority
    if iso:
        spec["iso"] = {"templateRef": {"name": iso}}
    if data:
        spec["volumes"] = [{"name": disk, "volumeRef": {"name": name}} for disk, name in data.items()]
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "VirtualMachine", "metadata": metadata, "spec": spec}


def a_data_volume(name: str, namespace: str, *, size: str = "64Mi") -> Obj:
    return {
        "apiVersion": API_VERSION,
        "kind": "Volume",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "Data", "size": size},
    }
