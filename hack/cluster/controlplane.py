"""etcd, API server, controller manager and scheduler, on the machine itself and on the bridge's address."""

from __future__ import annotations

import shutil
import time
from collections import Counter

from hack.cluster import cgroups, config, manifests
from hack.cluster.commands import CommandFailedError, TimedOutError, run, wait_until
from hack.cluster.machine import Machine, write_if_changed
from hack.cluster.processes import end

NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_READY_SECONDS = 240
"""It takes five, and minutes where a build fills all cores and disks."""
_TRIES, _PAUSE_SECONDS = 10, 2
_KUBECONFIGS = ("admin", "super-admin", "controller-manager", "scheduler")


def provide_certificates(machine: Machine) -> None:
    """Certificates and kubeconfigs by kubeadm, once per cluster; a set that a crash left half-made is made anew,
    which is safe because nothing has been signed by it yet."""
    home = machine.layout.control_plane
    complete = home / "complete"
    settings = home / "kubeadm.yaml"
    changed = write_if_changed(settings, manifests.kubeadm(machine.layout.pki))
    if complete.exists() and not changed:
        return
    complete.unlink(missing_ok=True)
    for part in ("pki", *(f"{name}.conf" for name in _KUBECONFIGS)):
        path = home / part
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    init = [machine.program("kubeadm"), "init", "phase"]
    run([*init, "certs", "all", "--config", str(settings)])
    for name in _KUBECONFIGS:
        run([*init, "kubeconfig", name, "--config", str(settings), "--kubeconfig-dir", str(home)])
    complete.touch()


def user_kubeconfig(machine: Machine, user: str, *organisations: str) -> str:
    """A kubeconfig with a client certificate of its own."""
    settings = machine.layout.control_plane / "kubeadm.yaml"
    orgs = [f"--org={organisation}" for organisation in organisations]
    command = [machine.program("kubeadm"), "kubeconfig", "user", f"--client-name={user}", *orgs]
    return run([*command, f"--config={settings}"])


def start(machine: Machine) -> None:
    """Starts what does not run, and returns when the API server says it is ready. What ends meanwhile is started again, as
    a kubelet would; one that ended _TRIES times raises RuntimeError with the end of its log."""
    _end_strays(machine)
    started: Counter[str] = Counter()

    def ready() -> bool:
        for name in _launch_missing(machine):
            started[name] += 1
            if started[name] == 1:
                continue
            said = f"{name} ended; the end of its log:\n{machine.registry.tail(name)}"
            if started[name] > _TRIES:
                raise RuntimeError(said)
            machine.progress.done(said)
            time.sleep(_PAUSE_SECONDS)
        try:
            return machine.kubectl("get", "--raw", "/readyz", "--request-timeout=5s").strip() == "ok"
        except CommandFailedError:
            return False

    try:
        wait_until(ready, what="API server ready", timeout=_READY_SECONDS, interval=0.1)
    except TimedOutError as error:
        raise RuntimeError(
            f"{error}; if the machine lost power, etcd's data may be damaged: run `down`, then `up`.\n"
            f"{machine.registry.tail('kube-apiserver')}"
        ) from error
    if started:
        machine.progress.done(f"started {', '.join(started)}")
        wait_until(lambda: _gives_admins_their_rights(machine), what="admin rights", timeout=_READY_SECONDS)


def _launch_missing(machine: Machine) -> list[str]:
    """What it started."""
    home, pki = machine.layout.control_plane, machine.layout.pki
    commands = {
        "etcd": manifests.etcd_arguments(pki, home / "etcd"),
        "kube-apiserver": manifests.apiserver_arguments(pki),
        "kube-controller-manager": manifests.controller_manager_arguments(
            pki, home / "controller-manager.conf"
        ),
        "kube-scheduler": manifests.scheduler_arguments(home / "scheduler.conf"),
    }
    missing = [name for name in NAMES if machine.registry.living(name) is None]
    for name in missing:
        machine.launch(name, [machine.program(name), *commands[name]], config.CONTROL_PLANE_CGROUP)
    return missing


def _gives_admins_their_rights(machine: Machine) -> bool:
    """An API server that has just become ready may still refuse: what it authorizes with fills from watches."""
    rights = manifests.cluster_admins()
    try:
        machine.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=rights)
    except CommandFailedError as error:
        machine.progress.done(f"admin rights, once more: {error}")
        return False
    return True


def _end_strays(machine: Machine) -> None:
    """Components whose records are lost still hold their ports; their cgroup shows that they are ours."""
    recorded = {machine.registry.living(name) for name in NAMES}
    found = cgroups.processes_in(machine.hierarchies, config.CONTROL_PLANE_CGROUP)
    end((stray for stray in found if stray not in recorded), grace=0)
