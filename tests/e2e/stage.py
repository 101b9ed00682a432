"""What all workers of a run share: the one operator, and the room that lets tests in.

With xdist the process that gives out the tests keeps the stage and its workers use it over a socket; without, the one
process does both.
"""

import fcntl
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.managers import BaseManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import yaml

from tests.e2e import leadership, tidy
from tests.e2e.api import SYSTEM_NAMESPACE, Api, Refused
from tests.e2e.deployment import scaled_to_zero
from tests.e2e.nodes import ROOT, Nodes
from tests.e2e.operator_process import OperatorProcess
from tests.e2e.room import Room

LOCK = Path("/run/goldpool-e2e.lock")


@dataclass(frozen=True)
class Stage:
    """``room`` and ``process`` are the things themselves, or proxies of them in a worker."""

    room: Room
    process: OperatorProcess
    kubeconfig: Path
    """With the rights of the chart's service account, so that what the roles lack fails here."""


class _Doors(BaseManager):
    """How workers reach the stage."""


def served(stage: Stage) -> tuple[str, str, str]:
    """What ``joined`` needs. Ends with the process."""
    _Doors.register("room", callable=lambda: stage.room)
    _Doors.register("process", callable=lambda: stage.process)
    key = secrets.token_hex(16)
    server = _Doors(authkey=key.encode()).get_server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return str(server.address), key, str(stage.kubeconfig)


def joined(address: str, key: str, kubeconfig: str) -> Stage:
    """In a worker: the stage that another process keeps."""
    _Doors.register("room")
    _Doors.register("process")
    doors = cast("Any", _Doors(address, key.encode()))
    doors.connect()
    return Stage(cast("Room", doors.room()), cast("OperatorProcess", doors.process()), Path(kubeconfig))


@contextmanager
def opened() -> Iterator[Stage]:
    """The run's own operator is the only one meanwhile, and nobody else's pool takes anything of it. Another run waits
    until this one has ended."""
    export_cluster()
    with LOCK.open("w") as lock, TemporaryDirectory(prefix="goldpool-e2e-") as directory:
        fcntl.flock(lock, fcntl.LOCK_EX)
        api, nodes = Api(), Nodes(Path(os.environ["GOLDPOOL_CLUSTER_STATE"]))
        kubeconfig = _operator_kubeconfig(Path(directory))
        with scaled_to_zero(api):
            tidy.clear_away_interrupted_runs(api, nodes)
            log = Path(directory) / "operator.log"
            process = OperatorProcess(log, kubeconfig, after_death=lambda: leadership.free(api))
            with others_disabled(api):
                process.start()
                process.await_ready()
                try:
                    yield Stage(Room(), process, kubeconfig)
                finally:
                    process.stop()


def export_cluster() -> None:
    """The development cluster's settings, in this process's environment and its children's."""
    if os.environ.get("GOLDPOOL_CLUSTER_STATE"):
        return
    command = [sys.executable, "-m", "hack.cluster", "env"]
    exports = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name, value in re.findall(r"^export (\w+)='([^']*)'", exports, re.MULTILINE):
        os.environ[name] = value + (f":{os.environ['PATH']}" if name == "PATH" else "")


def _operator_kubeconfig(directory: Path) -> Path:
    command = ["kubectl", "-n", SYSTEM_NAMESPACE, "create", "token", "goldpool", "--duration=8h"]
    token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = directory / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


@contextmanager
def others_disabled(api: Api) -> Iterator[None]:
    """Nothing of a test may be placed on pools that somebody uses on the same cluster."""
    names = [p["metadata"]["name"] for p in api.every("StoragePool") if p["spec"]["state"] == "Enabled"]
    for name in names:
        api.patch("StoragePool", name, {"spec": {"state": "Disabled"}})
    try:
        yield
    finally:
        for name in names:
            with suppress(Refused):  # it was deleted meanwhile
                api.patch("StoragePool", name, {"spec": {"state": "Enabled"}})
