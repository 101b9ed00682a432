"""The gate between fetched bytes and a parent: detected format = declared format, and safe to hand to QEMU."""

import os
import re
import resource
import signal
import subprocess
from collections.abc import Callable
from typing import Final

from goldpool.contracts.layout import ImageFormat
from goldpool.contracts.operations import FailureReason
from goldpool.worker.failures import OperationFailed
from goldpool.worker.qcow2 import MAX_CLUSTER, read_header

SECTOR: Final = 512
CHECK_ADDRESS_SPACE: Final = 1 << 30
CHECK_CPU_SECONDS: Final = 30
"""OpenStack Nova's limits for qemu-img on foreign images (CVE-2015-5162)."""
CHECK_WALL_SECONDS: Final = 600

_MAGICS: Final[tuple[tuple[str, int, bytes], ...]] = (
    ("qcow2", 0, b"QFI\xfb\0\0\0\2"),
    ("qcow2", 0, b"QFI\xfb\0\0\0\3"),
    ("qcow1", 0, b"QFI\xfb\0\0\0\1"),
    ("QED", 0, b"QED\0"),
    ("VMDK", 0, b"KDMV"),
    ("VMDK", 0, b"COWD"),
    ("VHDX", 0, b"vhdxfile"),
    ("VHD", 0, b"conectix"),
    ("VDI", 0x40, b"\x7f\x10\xda\xbe"),
    ("Parallels", 0, b"WithoutFreeSpace"),
    ("Parallels", 0, b"WithouFreSpacExt"),
    ("LUKS", 0, b"LUKS\xba\xbe"),
    ("iso", 32769, b"CD001"),
    ("gzip", 0, b"\x1f\x8b"),
    ("xz", 0, b"\xfd7zXZ\0"),
    ("zstd", 0, b"\x28\xb5\x2f\xfd"),
    ("bzip2", 0, b"BZh"),
    ("zip", 0, b"PK\3\4"),
    ("tar", 257, b"ustar"),
)
_HTML: Final = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
# QEMU takes any text for a VMDK descriptor whose first line that is neither comment nor blank says its version.
_VMDK_TEXT: Final = re.compile(
    rb"(?:#\s*Disk\s+DescriptorFile|(?:[ \t]*(?:#[^\n]*)?\r?\n)*version=\d)", re.IGNORECASE
)


def detected(head: bytes, tail: bytes = b"") -> frozenset[str]:
    """Every known container the bytes could be taken for; empty for a raw disk.

    ``head`` is the file's beginning (32 KiB and more), ``tail`` its last sector.
    """
    found = {name for name, offset, magic in _MAGICS if head.startswith(magic, offset)}
    if head.startswith(b"QFI\xfb") and not found & {"qcow1", "qcow2"}:
        found.add("an unknown qcow")
    if tail.startswith(b"conectix"):
        found.add("VHD")
    if tail.startswith(b"koly"):
        found.add("DMG")
    if _HTML.match(head[:4096]):
        found.add("HTML")
    if _VMDK_TEXT.match(head[:4096]):
        found.add("VMDK")
    return frozenset(found)


def wrong_format(declared: ImageFormat, found: frozenset[str]) -> str | None:
    """Why bytes taken for ``found`` are not the declared format. A file of two formats at once is none of them."""
    expected = frozenset() if declared is ImageFormat.RAW else frozenset({declared.value})
    if found == expected:
        return None
    looks_like = " and ".join(sorted(found)) if found else "a raw disk or something unknown"
    return f"declared {declared}, but the bytes look like {looks_like}"


def admit(fd: int, declared: ImageFormat, *, max_virtual_bytes: int) -> int:
    """The virtual size in bytes of an image that may become a parent.

    ``WrongFormat``, ``UnsafeImage`` and ``TooLarge`` are about the bytes; ``IOError`` is about this host.
    """
    file_bytes = os.fstat(fd).st_size
    head = _read(fd, MAX_CLUSTER, 0)
    tail = _read(fd, SECTOR, max(0, file_bytes - SECTOR))
    if (objection := wrong_format(declared, detected(head, tail))) is not None:
        raise OperationFailed(FailureReason.WRONG_FORMAT, objection)
    virtual_bytes = _VIRTUAL_BYTES[declared](head, file_bytes)
    if virtual_bytes > max_virtual_bytes:
        raise OperationFailed(
            FailureReason.TOO_LARGE,
            f"a virtual disk of {virtual_bytes} bytes, at most {max_virtual_bytes} are allowed",
        )
    if declared is ImageFormat.QCOW2:
        check(fd)
    return virtual_bytes


def _qcow2(head: bytes, file_bytes: int) -> int:
    return read_header(head, file_bytes).virtual_bytes


def _raw(_: bytes, file_bytes: int) -> int:
    if file_bytes == 0 or file_bytes % SECTOR:
        raise OperationFailed(
            FailureReason.WRONG_FORMAT,
            f"a raw disk of {file_bytes} bytes is not a whole number of {SECTOR}-byte sectors",
        )
    return file_bytes


def _iso(_: bytes, file_bytes: int) -> int:
    return -(-file_bytes // SECTOR) * SECTOR


_VIRTUAL_BYTES: Final[dict[ImageFormat, Callable[[bytes, int], int]]] = {
    ImageFormat.QCOW2: _qcow2,
    ImageFormat.RAW: _raw,
    ImageFormat.ISO: _iso,
}


def _read(fd: int, length: int, offset: int) -> bytes:
    """As many bytes as there are: one pread(2) may stop early on NFS."""
    data = b""
    while len(data) < length and (chunk := os.pread(fd, length - len(data), offset + len(data))):
        data += chunk
    return data


def check(fd: int) -> None:
    """``qemu-img check`` found nothing, within its limits. A host without qemu-img admits no qcow2 image."""
    try:
        result = subprocess.run(
            # By descriptor: what is checked is what was hashed, whatever happens to its name.
            ["qemu-img", "check", "-q", "-f", "qcow2", f"/proc/self/fd/{fd}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CHECK_WALL_SECONDS,
            check=False,
            pass_fds=(fd,),
            preexec_fn=_limit,
        )
    except FileNotFoundError as error:
        raise OperationFailed(
            FailureReason.IO_ERROR, "qemu-img is missing, so no qcow2 image can be admitted"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise OperationFailed(
            FailureReason.IO_ERROR, f"qemu-img check took over {CHECK_WALL_SECONDS} s"
        ) from error
    if result.returncode == -signal.SIGKILL:
        raise OperationFailed(
            FailureReason.IO_ERROR, "qemu-img check was killed from outside (out of memory?)"
        )
    if result.returncode != 0:
        raise OperationFailed(FailureReason.UNSAFE_IMAGE, _complaint(result.returncode, result.stderr))


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (CHECK_ADDRESS_SPACE, CHECK_ADDRESS_SPACE))
    # The hard limit is higher, so that the soft one ends it by SIGXCPU: a SIGKILL then came from somebody else.
    resource.setrlimit(resource.RLIMIT_CPU, (CHECK_CPU_SECONDS, CHECK_CPU_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _complaint(code: int, stderr: bytes) -> str:
    if code < 0:
        return f"qemu-img check was killed by signal {-code}: the image needs more than {CHECK_CPU_SECONDS} s or 1 GiB"
    said = stderr.decode(errors="replace").strip().splitlines()
    return f"qemu-img check ended with {code}: {said[-1] if said else 'no message'}"
