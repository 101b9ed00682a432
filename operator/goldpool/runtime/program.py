"""The runtime as a program: signals, health port, termination message, exit code."""

import asyncio
import os
import signal
import socket
from pathlib import Path

from goldpool.contracts.machine import MACHINE_ENV, Ended, Exit, Machine
from goldpool.contracts.model import CONTRACT_VERSION, Misread
from goldpool.runtime import health, logs
from goldpool.runtime.environment import Environment, from_variables
from goldpool.runtime.guest import ended, exit_status
from goldpool.runtime.listener import listen
from goldpool.runtime.supervisor import StopRequest, Supervisor

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run(listener: socket.socket | None) -> int:
    """The exit code. Expects the stop signals blocked and lets them through once they are listened to. ``listener`` is
    the health port, if it is open already."""
    logs.to_stderr()
    place = Environment()
    try:
        place = from_variables(os.environ)
        machine = told_machine(os.environ.get(MACHINE_ENV, ""))
        end = asyncio.run(supervise(machine, place, listener))
    except (ValueError, OSError) as error:
        end = ended(Exit.QEMU_FAILED, str(error))
    except Exception as error:  # the pod must say why it ended, whatever it was
        logs.exception("runtime failed")
        end = ended(Exit.QEMU_FAILED, f"runtime failed: {error!r}")
    logs.info("ended", reason=end.reason, message=end.message, accelerator=end.accelerator)
    leave_message(place.termination_log, end)
    return exit_status(end.reason)


def told_machine(text: str) -> Machine:
    """Raises ValueError with a sentence that names the variable."""
    try:
        machine = Machine.from_json(text)
    except Misread as error:
        raise ValueError(f"{MACHINE_ENV}: {error}") from error
    if machine.version > CONTRACT_VERSION:
        raise ValueError(f"{MACHINE_ENV} is of version {machine.version}, known is {CONTRACT_VERSION}")
    return machine


async def supervise(machine: Machine, place: Environment, listener: socket.socket | None) -> Ended:
    stop = StopRequest()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    supervisor = Supervisor(machine, place, stop)
    server = await health.serve(listener or listen(place.health_port), supervisor.unready, supervisor.ran)
    logs.info("health listening", port=health.port_of(server), machine=machine.name)
    try:
        return await supervisor.run()
    finally:
        server.close()


def leave_message(path: Path, end: Ended) -> None:
    """The kubelet keeps 4,096 bytes; the text in it is at most 1,024 (``ended``), quotes doubled at worst."""
    try:
        path.write_text(end.to_json() + "\n")
    except OSError as error:
        logs.warning("termination message not written", path=path, why=str(error))
