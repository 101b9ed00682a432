"""What Kubernetes alone takes for the same: pods and Jobs that nobody but the kubelet cares for."""

import json
import re
from pathlib import Path
from typing import Any, Final

from tests.e2e.api import Obj
from tests.e2e.guests import processes_of

_BLANK: Final = "/run/goldpool/blank.raw"
_RUN: Final = {"name": "run", "mountPath": "/run/goldpool"}


def qemu_command(machine_uid: str) -> list[str]:
    """The command line of the machine's QEMU as it runs now, on one blank disk instead of a child and its parent, and
    without the wait for QMP's ``cont``."""
    (process,) = processes_of(machine_uid)
    words = [word.decode() for word in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[:-1]]
    return on_a_blank_disk(words)


def on_a_blank_disk(words: list[str]) -> list[str]:
    found: list[str] = []
    options = iter(words)
    for word in options:
        if word == "-S":
            continue
        if word != "-blockdev":
            found.append(word)
            continue
        node = json.loads(next(options))
        if ".parent" in node["node-name"]:
            continue
        if node["node-name"].endswith(".file"):
            node["filename"] = _BLANK
        if node["driver"] == "qcow2":
            node = {"driver": "raw", "node-name": node["node-name"], "file": node["file"]}
        found += ["-blockdev", json.dumps(node)]
    return found


def a_pod(name: str, namespace: str, like: Obj, command: list[str]) -> Obj:
    """The image, limits and rights of a machine's pod; none of its disks, probes, finalizers and environment."""
    machine = like["spec"]["containers"][0]
    # The runtime hands QEMU the log of the serial port as an open file; here it is the pod's log.
    numbers = [re.search(r"fd=(\d)\b", word) for word in command]
    files = "".join(f" {number[1]}>&1" for number in numbers if number)
    script = f'truncate -s 64M {_BLANK} && exec "$@"{files}'
    container = {
        **{field: machine[field] for field in ("image", "imagePullPolicy", "resources", "securityContext")},
        "name": "qemu",
        "command": ["sh", "-c", script, "qemu", *command],
        "volumeMounts": [_RUN, {"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": like["spec"]["securityContext"],
            "containers": [container],
            "volumes": [{"name": "run", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
        },
    }


def a_job(name: str, namespace: str, image: str) -> Obj:
    """``true`` in the image of storage Jobs."""
    container: dict[str, Any] = {"name": "true", "image": image, "command": ["true"]}
    pod = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "backoffLimit": 0,
            "template": {"metadata": {"labels": {"bench": name}}, "spec": pod},
        },
    }
