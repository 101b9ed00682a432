"""The demo's steps, in their order. Every wait has an end."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hack.cluster import config
from hack.cluster.commands import CommandFailedError
from hack.demo import images, manifests, view
from hack.demo.kubectl import Kubectl
from hack.demo.stage import Stage
from hack.guests import linux
from hack.images import build, cache
from hack.pipeline import chart, debian

EXAMPLES = cache.REPOSITORY / "examples"
BUILD_SECONDS = 3600
RUNNING_SECONDS = 600
GONE_SECONDS = 180
POOL_SECONDS = 120
_POLL_SECONDS = 1.0
# Machines before the volumes they hold, volumes before the template whose parents they stand on. Pools stay: their
# locations keep their identity on disk, and a second run starts from where an administrator would.
_REMOVED = ("virtualmachines", "volumes", "templates")


class BrokenOffError(Exception):
    """Something did not come true; the message says what and what is known about it."""


class Journey:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def run(self) -> None:
        """Returns when every guest has said its marker, from a parent that was fetched once per location."""
        stage = self._stage
        with stage.step("Debian packages"):
            debian.install_missing()
        with stage.step("cluster, images and guest (built the first time)"):
            archive, guest = self._built()
        with stage.step("images onto the nodes"):
            self._module("hack.cluster", "load", str(archive))
        with stage.step("chart"):
            chart.install()
        kubectl = Kubectl()
        with stage.step("what a former run left"):
            self._remove_former(kubectl)
        with images.serving(guest, config.HOST_IP) as served:
            objects = manifests.rendered(
                manifests.read(EXAMPLES), url=served.url, checksum=f"sha256:{_sha256(guest)}"
            )
            with stage.step("pools"):
                self._prepare_pools(kubectl, objects)
            with stage.step("examples applied"):
                for line in kubectl.apply(objects):
                    stage.say(f"    {line}")
            with stage.step("copies fetched, machines booted"):
                self._follow(kubectl, objects)
            self._tell(kubectl, objects, served, guest.stat().st_size)

    def _built(self) -> tuple[Path, Path]:
        """The cluster is up; the images' archive and the guest. All three at once: they share nothing but the CPUs."""
        guest = cache.cache_directory("guests") / "demo" / "demo.qcow2"
        with ThreadPoolExecutor(3) as threads:
            cluster = threads.submit(self._module, "hack.cluster", "up")
            archive = threads.submit(build.build, cache.cache_directory("images"))
            made = threads.submit(linux.build, linux.Recipe(), guest, cache.cache_directory("guests"))
            cluster.result()
            made.result()
            return archive.result(), guest

    def _module(self, *arguments: str) -> None:
        """A command of the repository, as a process of its own, whose output goes to ours."""
        command = [sys.executable, "-m", *arguments]
        try:
            done = subprocess.run(
                command, cwd=cache.REPOSITORY, stdin=subprocess.DEVNULL, timeout=BUILD_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise BrokenOffError(f"{' '.join(arguments)}: no end after {BUILD_SECONDS} s") from error
        if done.returncode:
            raise BrokenOffError(f"{' '.join(arguments)} ended with {done.returncode}")

    def _remove_former(self, kubectl: Kubectl) -> None:
        for plural in _REMOVED:
            scope = [] if plural == "templates" else ["--all-namespaces"]
            said = kubectl(
                "delete", f"{plural}.goldpool.io", *scope, "--selector", manifests.SELECTOR,
                "--ignore-not-found", f"--timeout={GONE_SECONDS}s", timeout=GONE_SECONDS + 30,
            )  # fmt: skip
            for line in said.splitlines():
                if line != "No resources found":
                    self._stage.say(f"    {line}")
        # What was deleted by hand waits for its users, who are gone by now. Applied over it, the example would
        # change an object that is about to vanish.
        for pool in kubectl.get("storagepools"):
            if pool["metadata"].get("deletionTimestamp"):
                name = pool["metadata"]["name"]
                kubectl(
                    "wait", "--for=delete", f"storagepool.goldpool.io/{name}", f"--timeout={GONE_SECONDS}s",
                    timeout=GONE_SECONDS + 30,
                )  # fmt: skip
                self._stage.say(f'    storagepool.goldpool.io "{name}" gone')

    def _prepare_pools(self, kubectl: Kubectl, objects: list[manifests.Obj]) -> None:
        """A machine takes the first place there is: one that should choose among all hosts comes after the pools."""
        pools = [o for o in objects if o["kind"] == "StoragePool"]
        for line in kubectl.apply(pools):
            self._stage.say(f"    {line}")
        names = [f"storagepool.goldpool.io/{pool['metadata']['name']}" for pool in pools]
        kubectl(
            "wait", "--for=condition=Ready", *names, f"--timeout={POOL_SECONDS}s", timeout=POOL_SECONDS + 30
        )

    def _follow(self, kubectl: Kubectl, objects: list[manifests.Obj]) -> None:
        """Until every copy is there and every guest said its marker."""
        wanted = manifests.names(objects, "VirtualMachine")
        registered = manifests.names(objects, "Template")
        consoles: dict[str, str] = {}
        deadline = time.monotonic() + RUNNING_SECONDS
        with self._stage.following() as following:
            while True:
                rows = self._rows(kubectl, wanted, registered, consoles)
                following.show(rows)
                if failed := [f"{row.kind} {row.name}: {row.failure}" for row in rows if row.failure]:
                    raise BrokenOffError("; ".join(failed))
                there = {row.name for row in rows if row.done}
                if wanted | registered <= there and all(row.done for row in rows):
                    return
                if time.monotonic() > deadline:
                    waiting = [f"{r.kind} {r.name} is {r.state} {r.detail}" for r in rows if not r.done]
                    raise BrokenOffError(f"not within {RUNNING_SECONDS} s: {'; '.join(waiting)}")
                time.sleep(_POLL_SECONDS)

    def _rows(
        self, kubectl: Kubectl, wanted: set[str], registered: set[str], consoles: dict[str, str]
    ) -> list[view.Row]:
        machines = kubectl.get("virtualmachines")
        for machine in machines:
            name, pod = view.key(machine), machine.get("status", {}).get("podRef")
            if name in wanted and pod and view.MARKER not in consoles.get(name, ""):
                consoles[name] = _or_empty(lambda pod=pod: kubectl.log(pod["name"], pod["namespace"]))  # type: ignore[misc]
        rows = view.templates(kubectl.get("templates"), registered)
        parents = kubectl.get("parents")
        for template in sorted(registered):
            rows += view.copies(parents, template)
        return rows + view.machines(machines, wanted, consoles)

    def _tell(self, kubectl: Kubectl, objects: list[manifests.Obj], served: images.Served, size: int) -> None:
        stage = self._stage
        parents = kubectl.get("parents")
        copies = sum(len(view.copies(parents, name)) for name in manifests.names(objects, "Template"))
        stage.say(
            f"\n{copies} locations hold the image, and it was downloaded {served.downloads} times: "
            f"{served.sent >> 20} MiB in {served.requests} requests for {size >> 20} MiB each.\n"
        )
        if served.downloads != copies:
            raise BrokenOffError("each location should have downloaded the image exactly once")
        program = Path(sys.executable).with_name("kubectl-goldpool")
        subprocess.run([program, "tree"], env=kubectl.environ, timeout=60, check=True)
        stage.say("\n[bold]Times[/bold]")
        stage.tell_times()
        stage.say(NEXT)


NEXT = """
[bold]What to try next[/bold]
  eval "$(make -s cluster-env)"; PATH="$PWD/.venv/bin:$PATH"

  kubectl goldpool tree                                    the same tree, at any time
  kubectl -n team-a get gvm,gvol -o wide
  kubectl -n goldpool-data logs -l goldpool.io/virtualmachine=web-1      the guest's serial console
  kubectl delete gpool golden-ssd --wait=false             nothing breaks: it waits for the machines,
  kubectl describe gpool golden-ssd                        and DeletionBlocked names them
  kubectl -n team-a patch gvm web-2 --type merge -p '{"spec":{"runStrategy":"Halted"}}'
  kubectl -n team-a delete gvm web-3                       its pod and its disk go, the parent stays
  make demo                                                once more, in less than a minute
  make cluster-down                                        the end"""


def _or_empty(read: Callable[[], str]) -> str:
    """A pod without a log yet is no failure."""
    try:
        return read()
    except CommandFailedError:
        return ""


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
