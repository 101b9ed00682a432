"""From "what the pod was told" to "why it ended": one machine, one QEMU, one run."""

import asyncio
import os
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from goldpool.contracts.layout import VOLUME_DISK
from goldpool.contracts.machine import GUEST_STATE, Ended, Exit, Machine
from goldpool.runtime import logs
from goldpool.runtime.accelerator import Accelerator, choose
from goldpool.runtime.command import command_line
from goldpool.runtime.direct_io import why_not_direct
from goldpool.runtime.environment import Environment
from goldpool.runtime.guest import (
    FINAL,
    Guest,
    Status,
    Stop,
    ended,
    ending,
    observed,
    resume_wait,
    told,
    unready,
    with_blocks,
)
from goldpool.runtime.identity import Refusal, refusal
from goldpool.runtime.process import kill, spawn
from goldpool.runtime.qmp import CommandRefused, Monitor, MonitorLost, connected

_STDOUT: Final = 1
_LAST_WORDS_BYTES: Final = 1024
_RECONNECT_SECONDS: Final = 0.1
_IDENTITY_RETRY_SECONDS: Final = 1.0

T = TypeVar("T")


@dataclass
class StopRequest:
    """``asked`` by the first SIGTERM, ``insisted`` by the second."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    insisted: asyncio.Event = field(default_factory=asyncio.Event)

    def signal(self) -> None:
        logs.info("stop requested", again=self.asked.is_set())
        (self.insisted if self.asked.is_set() else self.asked).set()


@dataclass
class Pause:
    """The tries to go on after I/O errors. ``due``: when the next one is (monotonic seconds), None while running."""

    attempt: int = 0
    due: float | None = None
    resumed: float = 0


class Supervisor:
    """Runs one machine once. ``run`` returns only when no QEMU is left, whatever happened."""

    def __init__(self, machine: Machine, place: Environment, stop: StopRequest) -> None:
        self._machine = machine
        self._place = place
        self._limits = place.limits
        self._request = stop
        self.ran = asyncio.Event()
        """Set from the guest's first instruction on, also when it is paused later."""
        self._guest = Guest()
        self._stop = Stop()
        self._pause = Pause()
        self._heard = time.monotonic()
        self._monitor: Monitor | None = None
        self._accelerator: Accelerator | None = None
        self._last_words = b""

    def unready(self) -> str:
        """Why the guest does not run; empty while QMP says that it does."""
        return unready(self._guest, time.monotonic() - self._heard, self._limits.silent_seconds)

    async def run(self) -> Ended:
        """Raises OSError when QEMU cannot be executed."""
        if (wrong := await self._unless_stopped(self._refusal())) is not None:
            return ended(wrong.reason, wrong.message)
        choice = choose(self._place.qemu, self._place.kvm, self._place.run, self._limits.probe_seconds)
        self._accelerator = await self._unless_stopped(choice)
        if self._accelerator is None:
            return ended(Exit.STOPPED, "asked to stop before QEMU was started")
        chosen = self._accelerator
        logs.info("accelerator chosen", accelerator=chosen.name, cpu=chosen.cpu, why=chosen.why)
        for socket in (self._place.monitor, self._place.serial):
            socket.unlink(missing_ok=True)
        log = os.dup(_STDOUT)
        try:
            argv = command_line(self._machine, chosen, self._direct_disks(), self._place, log)
            process = await spawn(argv, stdout=None, stderr=PIPE, keep=(log,))
        finally:
            os.close(log)
        logs.info("QEMU started", pid=process.pid, command=argv)
        exit_code = await self._attend(process)
        logs.info("QEMU ended", exit_code=exit_code)
        words = self._last_words.decode(errors="replace").strip()
        return ending(self._guest, self._stop, exit_code, words, chosen.name)

    async def _attend(self, process: Process) -> int:
        """Follows QEMU until it ends; its exit code. No task and no QEMU outlives this."""
        try:
            async with asyncio.TaskGroup() as tasks:
                attendants = [tasks.create_task(self._follow(process)), tasks.create_task(self._end(process))]
                words = tasks.create_task(self._listen(process))
                exit_code = await process.wait()
                for attendant in attendants:
                    attendant.cancel()
                await words
        finally:
            kill(process)
            await process.wait()
        return exit_code

    # --- before QEMU -------------------------------------------------------------------------------------------

    async def _refusal(self) -> Refusal | None:
        """NFS may answer ENOENT or ESTALE for a while, so only a missing disk is looked for again."""
        give_up = time.monotonic() + self._limits.missing_seconds
        while True:
            found = await asyncio.to_thread(refusal, self._machine, self._place.disks, self._place.parents)
            if found is None or found.reason is not Exit.DISK_MISSING or time.monotonic() >= give_up:
                return found
            logs.warning("disk missing, looking again", why=found.message)
            await asyncio.sleep(min(_IDENTITY_RETRY_SECONDS, self._limits.missing_seconds))

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """None when the stop request came first."""
        task = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self._request.asked.wait())
        await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
        stopped = self._request.asked.is_set()
        (task if stopped else asked).cancel()
        await asyncio.wait({task, asked})
        return None if stopped else task.result()

    def _direct_disks(self) -> set[str]:
        """The storageIDs of the disks that are opened past the page cache."""
        direct = set()
        for disk in self._machine.disks:
            if why := why_not_direct(self._place.disks / disk.storage_id / VOLUME_DISK):
                logs.warning("disk opened through the page cache", disk=disk.name, why=why)
            else:
                direct.add(disk.storage_id)
        return direct

    # --- while QEMU runs ---------------------------------------------------------------------------------------

    async def _listen(self, process: Process) -> None:
        """Keeps QEMU's last words and logs them: its stderr is no log of ours."""
        assert process.stderr is not None
        while chunk := await process.stderr.read(4096):
            self._last_words = (self._last_words + chunk)[-_LAST_WORDS_BYTES:]
            for line in chunk.decode(errors="replace").splitlines():
                logs.warning("QEMU said", line=line)

    async def _follow(self, process: Process) -> None:
        """Keeps a monitor connected and the guest's state up to date, until QEMU ends.

        It looks for the end itself: a connection that breaks while it is being cancelled raises its own error instead.
        """
        while process.returncode is None:
            try:
                async with connected(self._place.monitor) as monitor:
                    self._monitor = monitor
                    await self._watch(monitor)
            except MonitorLost as error:
                if self._monitor is not None:
                    logs.warning("monitor lost", why=str(error))
            finally:
                self._monitor = None
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _watch(self, monitor: Monitor) -> None:
        """Asks, acts, waits for an event or the next poll. Acting on what was asked, not on events, makes a lost event
        cost a poll's time and nothing else."""
        while True:
            before = self._guest
            await self._look(monitor)
            await self._act(monitor)
            event = await monitor.next_event(self._patience())
            if event is not None:
                logs.info("guest event", name=event["event"], data=event.get("data", {}))
                self._guest = told(self._guest, event, self._machine.disks)
            if before != self._guest:
                logs.info(GUEST_STATE, status=self._guest.status, failing=dict(self._guest.failing))

    async def _look(self, monitor: Monitor) -> None:
        seconds = self._limits.silent_seconds
        answer = await monitor.execute("query-status", seconds)
        self._heard = time.monotonic()
        self._guest = observed(self._guest, answer["status"])
        if self._guest.status == Status.IO_ERROR:
            blocks = await monitor.execute("query-block", seconds)
            self._guest = with_blocks(self._guest, blocks, self._machine.disks)

    async def _act(self, monitor: Monitor) -> None:
        try:
            match self._guest.status:
                case Status.PRELAUNCH:
                    await monitor.execute("cont", self._limits.silent_seconds)
                case status if status in FINAL:
                    await monitor.execute("quit", self._limits.silent_seconds)
                case Status.IO_ERROR:
                    await self._go_on_if_room(monitor)
                case Status.RUNNING:
                    self._note_running()
                case _:
                    pass  # paused by a person: not ours to end
        except CommandRefused as error:
            logs.warning("command refused", why=str(error))

    async def _go_on_if_room(self, monitor: Monitor) -> None:
        """``cont`` submits the failed requests again. A full pool is first asked for room; any other error (a quota,
        an NFS server away) has no better test than the request itself."""
        now = time.monotonic()
        if self._pause.due is None:
            self._pause.due = now + self._wait()
            logs.warning("guest paused by storage", failing=dict(self._guest.failing))
        if now < self._pause.due:
            return
        self._pause.attempt += 1
        self._pause.due = now + self._wait()
        if await asyncio.to_thread(self._without_room):
            return
        logs.info("guest told to go on", attempt=self._pause.attempt)
        await monitor.execute("cont", self._limits.silent_seconds)
        self._pause.resumed = now

    def _note_running(self) -> None:
        self.ran.set()
        self._pause.due = None
        if time.monotonic() - self._pause.resumed > self._limits.calm_seconds:
            self._pause.attempt = 0

    def _wait(self) -> float:
        limits = self._limits
        return resume_wait(self._pause.attempt, limits.resume_first_seconds, limits.resume_longest_seconds)

    def _without_room(self) -> list[str]:
        """The disks that failed for want of space and whose directory still has none."""
        full = {name for name, status in self._guest.failing if status == "nospace"}
        return [
            d.name
            for d in self._machine.disks
            if d.name in full and self._free(d.storage_id) < self._limits.room_bytes
        ]

    def _free(self, storage_id: str) -> int:
        """Bytes that an unprivileged writer may still use."""
        facts = os.statvfs(self._place.disks / storage_id)
        return facts.f_bavail * facts.f_frsize

    def _patience(self) -> float:
        """Seconds until the next look when no event comes."""
        if self._pause.due is None:
            return self._limits.poll_seconds
        return max(0.0, min(self._limits.poll_seconds, self._pause.due - time.monotonic()))

    # --- the end -----------------------------------------------------------------------------------------------

    async def _end(self, process: Process) -> None:
        """After SIGTERM: the power button until the guest follows or its time is over, then ``quit``, then SIGKILL.

        The button is pressed again and again, because a guest that still boots loses it; systemd and Windows ignore
        it while they shut down.
        """
        await self._request.asked.wait()
        self._stop = Stop(asked=True)
        over = time.monotonic() + self._machine.stop_seconds
        while (left := over - time.monotonic()) > 0 and not self._request.insisted.is_set():
            await self._command("system_powerdown")
            await self._until_insisted(min(left, self._limits.powerdown_every_seconds))
        if self._guest.status == Status.SHUTDOWN:
            logs.info("guest is off, QEMU is ending")
        else:
            self._stop = Stop(asked=True, forced=True)
            logs.warning("guest did not shut down", stop_seconds=self._machine.stop_seconds)
        await self._command("quit")
        await asyncio.sleep(self._limits.quit_seconds)
        logs.warning("QEMU did not quit, killed")
        kill(process)

    async def _command(self, name: str) -> None:
        if self._monitor is None:
            logs.warning("no monitor", command=name)
            return
        try:
            await self._monitor.execute(name, self._limits.quit_seconds)
        except (MonitorLost, CommandRefused) as error:
            logs.warning("command failed", why=str(error))

    async def _until_insisted(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._request.insisted.wait()
        except TimeoutError:
            return
