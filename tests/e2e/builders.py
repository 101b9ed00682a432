"""Manifests with defaults, so that a test names only what it is about."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.api import Obj

API_VERSION = "goldpool.io/v1alpha1"
TEST_GOLDEN = "/srv/test-golden"
TEST_STANDARD = "/srv/test-standard"
SHARED_GOLDEN = "/mnt/goldpool-e2e/golden"
SHARED_STANDARD = "/mnt/goldpool-e2e/standard"
"""Plain directories of the machine, and so the same bytes on every node. The demo may be using /srv/shared."""


def a_pool(
    name: str,
    *,
    golden: bool = False,
    path: str = "",
    scope: str = "Host",
    hosts: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
    require_mount: bool = True,
) -> Obj:
    """On the disks that belong to tests; ``hosts`` are labels of nodes, all nodes without it."""
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
) -> Obj:
    spec: dict[str, Any] = {
        "golden": True,
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
) -> Obj:
    """From a template or on an existing volume. The boot-sector guest knows no ACPI, hence the short stop."""
    if template:
        root: dict[str, Any] = {
            "templateRef": {"name": template},
            "reclaimPolicy": reclaim,
            "poolTags": list(tags),
        }
    else:
        root = {"volumeRef": {"name": volume}}
    spec: dict[str, Any] = {
        "cpus": 1,
        "memory": memory,
        "rootVolume": root,
        "runStrategy": run,
        "stopTimeoutSeconds": stop_seconds,
    }
    if host:
        spec["nodeSelector"] = {"kubernetes.io/hostname": host}
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
