"""An NFS server in user space, as others run knfsd: version 4 only, at a port of its own, no rpcbind.

It opens files by their handles, which needs CAP_DAC_READ_SEARCH and a file system that has some: tmpfs and ext4 do,
overlayfs does not.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

needs_ganesha: Final = pytest.mark.skipif(
    shutil.which("ganesha.nfsd") is None or shutil.which("nfs-cat") is None or os.geteuid() != 0,
    reason="nfs-ganesha and libnfs-utils are not installed (make packages), or this is not root",
)
_PATIENCE_SECONDS: Final = 60
_MEMORY: Final = Path("/dev/shm")

_CONFIGURATION: Final = """
NFS_CORE_PARAM {{
    Protocols = 4;
    NFS_Port = {port};
    Bind_addr = {address};
    mount_path_pseudo = false;
    Enable_NLM = false;
    Enable_RQUOTA = false;
}}
NFSV4 {{ Graceless = true; RecoveryBackend = fs; RecoveryRoot = {directory}/recovery; }}
EXPORT {{
    Export_Id = 1;
    Path = {directory}/export;
    Pseudo = /images;
    Access_Type = RO;
    Squash = No_Root_Squash;
    SecType = sys;
    Protocols = 4;
    Transports = TCP;
    FSAL {{ Name = VFS; }}
}}
LOG {{ Default_Log_Level = WARN; }}
"""


@dataclass(frozen=True)
class Ganesha:
    """``export`` is served as /images."""

    address: str
    port: int
    export: Path
    process: "subprocess.Popen[bytes]"

    def url(self, path: str) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"nfs://{host}:{self.port}/images{path}"

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """It answers nobody, but its connections stay."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def ganesha(address: str = "127.0.0.1") -> Iterator[Ganesha]:
    """At a free port of ``address``, from the first moment of the block to its last."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as made:
        directory = Path(made)
        directory.chmod(0o755)
        (directory / "export").mkdir(mode=0o755)
        (directory / "recovery").mkdir()
        process, port = _started(address, directory)
        try:
            yield Ganesha(address, port, directory / "export", process)
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _started(address: str, directory: Path) -> "tuple[subprocess.Popen[bytes], int]":
    """It cannot take over a socket, so that its port may be lost to somebody else between our look and its start."""
    log = directory / "log"
    for _ in range(5):
        port = _free_port(address)
        configuration = directory / "ganesha.conf"
        configuration.write_text(_CONFIGURATION.format(port=port, address=address, directory=directory))
        process = subprocess.Popen(
            ["ganesha.nfsd", "-F", "-L", str(log), "-f", str(configuration), "-p", str(directory / "pid")],
            stdin=subprocess.DEVNULL,
        )
        if _listens(process, address, port):
            return process, port
        process.kill()
        process.wait()
    raise AssertionError(f"nfs-ganesha did not start: {log.read_text() if log.exists() else ''}"[-4000:])


def _free_port(address: str) -> int:
    with socket.create_server((address, 0), family=_family(address)) as probing:
        return int(probing.getsockname()[1])


def _listens(process: "subprocess.Popen[bytes]", address: str, port: int) -> bool:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return process.poll() is None
        time.sleep(0.02)
    return False


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
