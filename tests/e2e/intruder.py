"""Somebody who got hold of a pod: what the kernel lets its processes do, tried from inside."""

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from tests.e2e.api import DATA_NAMESPACE

_PROGRAM = """
import errno, json, os, sys
def attempt(work):
    try:
        work()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]
def make(path):
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.close(file)
    os.unlink(path)
tries = json.loads(sys.argv[1])
facts = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
mounts = [line.split() for line in open("/proc/self/mountinfo")]
print(json.dumps({
    "user": os.getuid(),
    "groups": sorted({os.getgid(), *os.getgroups()}),
    "capabilities": int(facts["CapEff"], 16) | int(facts["CapPrm"], 16) | int(facts["CapBnd"], 16),
    "no_new_privileges": facts["NoNewPrivs"].strip() == "1",
    "seccomp": int(facts["Seccomp"]),
    "disks": sorted(m[4] for m in mounts if m[4].startswith(("/disks", "/parents", "/pools", "/srv", "/mnt"))),
    "read_only": sorted(m[4] for m in mounts if "ro" in m[5].split(",")),
    "token": os.path.exists("/var/run/secrets/kubernetes.io"),
    "first_process": open("/proc/1/cmdline").read().replace("\\0", " "),
    "devices": sorted(attempt(lambda: os.close(os.open(d, os.O_RDONLY))) for d in ("/dev/sda", "/dev/vda", "/dev/loop0")),
    "made": {path: attempt(lambda: make(path)) for path in tries["make"]},
    "written": {path: attempt(lambda: os.close(os.open(path, os.O_WRONLY))) for path in tries["write"]},
    "entered": {path: attempt(lambda: os.listdir(path)) for path in tries["enter"]},
    "mounted": attempt(lambda: __import__("ctypes").CDLL(None, use_errno=True).unshare(0x00020000) and
        (_ for _ in ()).throw(OSError(__import__("ctypes").get_errno(), ""))),
    "became_root": attempt(lambda: os.setuid(0)),
}))
"""


@dataclass(frozen=True)
class Intruder:
    """What was found in one pod. Attempts are "done" or the name of the error."""

    facts: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.facts[name]


def inside(
    pod: str,
    container: str,
    *,
    make: tuple[str, ...] = (),
    write: tuple[str, ...] = (),
    enter: tuple[str, ...] = (),
) -> Intruder:
    """Runs in the real container: as its user, under its seccomp profile, with its mounts."""
    tries = json.dumps({"make": make, "write": write, "enter": enter})
    done = subprocess.run(
        ["kubectl", "-n", DATA_NAMESPACE, "exec", pod, "-c", container, "--", "python3", "-c", _PROGRAM, tries],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Intruder(json.loads(done.stdout))


def has_no_power(found: Intruder) -> None:
    """What holds of every pod that Goldpool makes and that is not the one initialisation of a pool."""
    assert found.user == 107
    assert found.groups == [107]
    assert found.capabilities == 0
    assert found.no_new_privileges
    assert found.seccomp == 2, "filtered"
    assert not found.token
    assert "goldpool." in found.first_process, "it sees no processes but its pod's"
    assert "done" not in found.devices
    assert found.mounted == "EPERM"
    assert found.became_root == "EPERM"
    assert "/" in found.read_only
