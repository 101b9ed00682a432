"""The runtime as a process with a real QEMU: what a VM pod does, in a directory."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from goldpool.contracts.machine import MACHINE_ENV, Ended, Exit, Machine
from hack.guests import installer
from tests.unit.runtime.builders import a_disk, a_machine, a_parent, lay_child, lay_parent
from tests.unit.runtime.sectors import HALT, POWER_OFF, say, sector, write_8_mib

pytestmark = pytest.mark.skipif(
    not (shutil.which("qemu-system-x86_64") and shutil.which("qemu-img")), reason="needs QEMU"
)

DEADLINE_SECONDS = 90  # generous: nothing here is about speed
PACKAGE = Path(__file__).parents[3] / "operator"


def until(what: str, true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (value := true()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return value


class Pod:
    """One run of ``python -m goldpool.runtime`` with its directories below ``root``."""

    def __init__(self, root: Path) -> None:
        self.disks, self.parents, self.root = root / "disks", root / "parents", root
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, machine: Machine, **variables: str) -> None:
        (self.root / "run").mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PACKAGE),
            MACHINE_ENV: machine.to_json(),
            "GOLDPOOL_RUN": str(self.root / "run"),
            "GOLDPOOL_DISKS": str(self.disks),
            "GOLDPOOL_PARENTS": str(self.parents),
            "GOLDPOOL_TERMINATION_LOG": str(self.root / "termination-log"),
            "GOLDPOOL_KVM": str(self.root / "no-kvm"),
            "GOLDPOOL_HEALTH_PORT": "0",
            "GOLDPOOL_MISSING_SECONDS": "0",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "goldpool.runtime"],
            env=environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=(self.root / "stdout").open("wb"),
            stderr=(self.root / "stderr").open("wb"),
        )

    def console(self) -> str:
        return (self.root / "stdout").read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        complete = (self.root / "stderr").read_text().rpartition("\n")[0]
        return [line for line in map(json.loads, complete.splitlines()) if line["event"] == name]

    def says(self, text: str) -> None:
        until(f"{text} on the console", lambda: text in self.console())

    def ready(self) -> tuple[int, str]:
        port = until("a health port", lambda: self.events("health listening"))[0]["port"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=30) as reply:
                return reply.status, reply.read().decode().strip()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode().strip()
        except OSError as error:  # not listening any more
            return 0, str(error)

    def is_ready(self) -> None:
        until("ready", lambda: self.ready() == (200, "running"))

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self) -> tuple[Ended, int]:
        assert self.process is not None
        code = self.process.wait(DEADLINE_SECONDS)
        written = (self.root / "termination-log").read_bytes()
        assert len(written) <= 4096
        return Ended.from_json(written), code


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    pod = Pod(tmp_path)
    yield pod
    if pod.process is not None and pod.process.poll() is None:
        pod.process.kill()  # QEMU dies with it
        pod.process.wait()


def running(pod: Pod, *code: bytes, machine: Machine | None = None, **variables: str) -> None:
    lay_child(pod.disks, lay_parent(pod.parents, sector(*code)))
    pod.start(machine or a_machine(), **variables)


def qemu_of(pod: Pod) -> int:
    pid: int = until("QEMU", lambda: pod.events("QEMU started"))[0]["pid"]
    return pid


def is_gone(pid: int) -> bool:
    """Also when it is a zombie: who inherits it is not ours to say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_child_boots_over_its_parent_and_is_stopped_when_it_ignores_acpi(pod: Pod) -> None:
    running(pod, say("GUEST-UP\n"), HALT)
    pod.says("GUEST-UP")
    pod.is_ready()
    qemu = qemu_of(pod)
    pod.signal()
    end, code = pod.end()
    assert (end.reason, end.accelerator, code) == (Exit.KILLED, "tcg", 0)
    assert pod.console() == "GUEST-UP\n"  # nothing but the serial console
    assert is_gone(qemu)


@pytest.mark.parametrize("format_", ["raw", "qcow2"])
def test_every_format_of_parent_boots(pod: Pod, format_: str) -> None:
    parent = lay_parent(pod.parents, sector(say("GUEST-UP\n"), HALT), format=format_)
    lay_child(pod.disks, parent)
    pod.start(a_machine(a_disk(parent=a_parent(format=format_))))
    pod.says("GUEST-UP")


def test_a_machine_with_all_kinds_of_disks_starts(pod: Pod) -> None:
    lay_child(pod.disks, lay_parent(pod.parents, sector(say("GUEST-UP\n"), HALT)))
    lay_child(pod.disks, None, storage_id="v-2", parent="", revision="")
    lay_parent(pod.parents, b"", parent="iso-1", format="iso")
    pod.start(
        a_machine(
            a_disk(name="data", storage_id="v-2", parent=None, boot=False),
            a_disk(),
            cdrom=a_parent(parent="iso-1", format="iso"),
            cpus=2,
        )
    )
    pod.says("GUEST-UP")
    pod.is_ready()


def test_an_empty_disk_boots_the_installer_and_then_what_it_installed(pod: Pod) -> None:
    lay_child(pod.disks, None, parent="", revision="")
    image = lay_parent(pod.parents, b"", parent="iso-1", format="iso")
    image.chmod(0o644)
    image.write_bytes(installer.medium())
    image.chmod(0o444)
    pod.start(a_machine(a_disk(parent=None), cdrom=a_parent(parent="iso-1", format="iso")))
    pod.says(installer.SAYS)
    pod.says(installer.THEN_SAYS)
    assert image.read_bytes() == installer.medium()


def test_a_guest_that_powers_off_ends_its_pod(pod: Pod) -> None:
    running(pod, say("GUEST-OFF\n"), POWER_OFF, HALT)
    end, code = pod.end()
    assert (end.reason, code) == (Exit.GUEST_SHUTDOWN, 0)
    assert pod.console() == "GUEST-OFF\n"


def test_a_second_sigterm_does_not_wait(pod: Pod) -> None:
    running(pod, say("GUEST-UP\n"), HALT, machine=a_machine(stop_seconds=100_000))
    pod.is_ready()
    pod.signal()
    until("the first request", lambda: pod.events("stop requested"))
    pod.signal()
    end, code = pod.end()
    assert (end.reason, code) == (Exit.KILLED, 0)


def test_the_power_button_is_pressed_again(pod: Pod) -> None:
    running(pod, HALT, machine=a_machine(stop_seconds=100_000), GOLDPOOL_POWERDOWN_EVERY_SECONDS="0.05")
    pod.is_ready()
    pod.signal()
    until("two presses", lambda: [e for e in pod.events("guest event") if e["name"] == "POWERDOWN"][1:])
    assert pod.ready() == (200, "running")  # it still runs


def test_a_stop_before_qemu_starts_nothing(pod: Pod) -> None:
    pod.start(a_machine(), GOLDPOOL_MISSING_SECONDS="100000")
    until("the search for the disk", lambda: pod.events("disk missing, looking again"))
    assert pod.ready()[0] == 503
    pod.signal()
    end, code = pod.end()
    assert (end.reason, code) == (Exit.STOPPED, 0)
    assert not pod.events("QEMU started")


@pytest.mark.parametrize(
    ("sidecar", "reason"),
    [({"revision": "cd" * 32}, Exit.WRONG_DISK), ({"storage_id": "v-2"}, Exit.DISK_MISSING)],
)
def test_another_disk_is_never_opened(pod: Pod, sidecar: dict[str, Any], reason: Exit) -> None:
    lay_child(pod.disks, lay_parent(pod.parents, sector(HALT)), **sidecar)
    pod.start(a_machine())
    end, code = pod.end()
    assert (end.reason, code) == (reason, 1)
    assert not pod.events("QEMU started")


def test_a_second_machine_on_the_same_disk_ends_with_qemus_last_words(pod: Pod, tmp_path: Path) -> None:
    running(pod, HALT)
    pod.is_ready()
    second = Pod(tmp_path / "second")
    second.root.mkdir()
    second.disks, second.parents = pod.disks, pod.parents
    second.start(a_machine())
    end, code = second.end()
    assert (end.reason, code) == (Exit.QEMU_FAILED, 1)
    assert 'Failed to get "write" lock' in end.message


def test_a_killed_qemu_is_a_failure(pod: Pod) -> None:
    running(pod, HALT)
    pod.is_ready()
    os.kill(qemu_of(pod), signal.SIGSEGV)
    end, code = pod.end()
    assert (end.reason, code) == (Exit.QEMU_FAILED, 1)
    assert "signal 11" in end.message


def test_qemu_does_not_outlive_the_runtime(pod: Pod) -> None:
    running(pod, HALT)
    pod.is_ready()
    qemu = qemu_of(pod)
    pod.signal(signal.SIGKILL)
    until("the end of QEMU", lambda: is_gone(qemu))


def test_a_pod_told_nonsense_says_so(pod: Pod) -> None:
    pod.start(a_machine(), **{MACHINE_ENV: '{"name": 1}'})
    end, code = pod.end()
    assert (end.reason, code) == (Exit.QEMU_FAILED, 1)
    assert end.message.startswith("GOLDPOOL_MACHINE: ")


@pytest.fixture
def tiny_pool(pod: Pod) -> Iterator[Path]:
    """A pool of 2 MiB at the pod's disks."""
    pod.disks.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(pod.disks)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield pod.disks
    if pod.process is not None:
        pod.process.kill()
        pod.process.wait()
    until("unmount", lambda: subprocess.run(["umount", pod.disks], check=False).returncode == 0)


def test_a_full_pool_pauses_the_guest_until_there_is_room(pod: Pod, tiny_pool: Path) -> None:
    running(
        pod,
        say("GUEST-UP\n"),
        write_8_mib("GUEST-WROTE\n"),
        GOLDPOOL_RESUME_FIRST_SECONDS="0.05",
        GOLDPOOL_RESUME_LONGEST_SECONDS="0.2",
        GOLDPOOL_ROOM_BYTES=str(1 << 20),
    )
    pod.says("GUEST-UP")
    until("the pause", lambda: pod.ready() == (503, "StoragePaused: root nospace"))
    assert "GUEST-WROTE" not in pod.console()
    assert not pod.events("guest told to go on")  # no room, no try
    subprocess.run(["mount", "-o", "remount,size=64m", tiny_pool], check=True)
    pod.says("GUEST-WROTE")
    pod.is_ready()
    assert "BAD" not in pod.console()  # the guest never saw the error
    pod.signal()
    assert pod.end()[0].reason == Exit.KILLED
    check = ["qemu-img", "check", "-q", "--image-opts", (f"driver=qcow2,file.filename={tiny_pool}/v-1/disk.qcow2,"
             f"backing.driver=qcow2,backing.file.filename={pod.parents}/p-1/disk.qcow2")]  # fmt: skip
    assert subprocess.run(check, check=False).returncode == 0
