"""``python3 confine.py FD CPU-SECONDS ADDRESS-SPACE PROGRAM ARGUMENT...``: run a program that reads bytes we do not trust.

What is started can neither make or write a file, nor start a process, nor open a socket, nor look at another process
(seccomp), opens no file but the system's own and the one behind FD (Landlock, where the kernel has it), and ends
at its limits of CPU time and memory (rlimits). No privilege is needed for any of it, and none comes back.

A program of its own, so that nothing of it happens between fork and exec of a process with threads. It is run by
its path and imports nothing of ours, which keeps its start at the interpreter's own.
Sources: seccomp(2), landlock(7), linux/filter.h, the kernel's syscall tables.
"""

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Iterable, Iterator
from typing import Final, NoReturn

NOT_CONFINED: Final = 125
"""Exit status when the program was not started; qemu-img has none like it."""

_EPERM: Final = 1
_ENOSYS: Final = 38
_MAKES: Final = os.O_CREAT | os.O_TRUNC
_WRITES: Final = os.O_WRONLY | os.O_RDWR
_CLONE_THREAD: Final = 0x10000

# --- seccomp

_LOAD, _JUMP_EQUAL, _JUMP_ANY, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets into struct seccomp_data
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_X32: Final = 0x40000000

_FORBIDDEN: Final = (
    "socket", "socketpair", "connect", "bind", "sendto", "sendmsg", "sendmmsg",
    "fork", "vfork", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_open", "pidfd_getfd",
    "io_uring_setup", "bpf", "userfaultfd", "perf_event_open", "keyctl", "add_key", "request_key",
    "creat", "mknod", "mknodat", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat",
    "symlink", "symlinkat", "unlink", "unlinkat", "rmdir", "truncate", "chmod", "fchmod", "fchmodat",
    "chown", "fchown", "lchown", "fchownat", "setxattr", "lsetxattr", "fsetxattr", "mount", "umount2",
    "unshare", "setns", "kill", "tkill", "openat2", "open_by_handle_at", "memfd_create",
)  # fmt: skip
_TABLES: Final[dict[str, tuple[int, dict[str, int]]]] = {
    # machine: (AUDIT_ARCH, numbers of what it has of the above)
    "x86_64": (
        0xC000003E,
        {
            "open": 2, "socket": 41, "connect": 42, "sendto": 44, "sendmsg": 46, "bind": 49, "socketpair": 53,
            "clone": 56, "fork": 57, "vfork": 58, "kill": 62, "truncate": 76, "rename": 82, "mkdir": 83,
            "rmdir": 84, "creat": 85, "link": 86, "unlink": 87, "symlink": 88, "chmod": 90, "fchmod": 91,
            "chown": 92, "fchown": 93, "lchown": 94, "ptrace": 101, "mknod": 133, "mount": 165, "umount2": 166,
            "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "tkill": 200, "add_key": 248,
            "request_key": 249, "keyctl": 250, "openat": 257, "mkdirat": 258, "mknodat": 259, "fchownat": 260,
            "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266, "fchmodat": 268, "unshare": 272,
            "perf_event_open": 298, "open_by_handle_at": 304, "sendmmsg": 307, "setns": 308,
            "process_vm_readv": 310, "process_vm_writev": 311, "renameat2": 316, "memfd_create": 319, "bpf": 321,
            "execveat": 322, "userfaultfd": 323, "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435,
            "openat2": 437, "pidfd_getfd": 438,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "mknodat": 33, "mkdirat": 34, "unlinkat": 35,
            "symlinkat": 36, "linkat": 37, "renameat": 38, "umount2": 39, "mount": 40, "truncate": 45,
            "fchmod": 52, "fchmodat": 53, "fchownat": 54, "fchown": 55, "openat": 56, "unshare": 97,
            "ptrace": 117, "kill": 129, "tkill": 130, "socket": 198, "socketpair": 199, "bind": 200,
            "connect": 203, "sendto": 206, "sendmsg": 211, "add_key": 217, "request_key": 218, "keyctl": 219,
            "clone": 220, "perf_event_open": 241, "open_by_handle_at": 265, "setns": 268, "sendmmsg": 269,
            "process_vm_readv": 270, "process_vm_writev": 271, "renameat2": 276, "memfd_create": 279, "bpf": 280,
            "execveat": 281, "userfaultfd": 282, "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435,
            "openat2": 437, "pidfd_getfd": 438,
        },
    ),
}  # fmt: skip


def filter_program(machine: str, *, writes: bool) -> bytes:
    """The seccomp filter as an array of struct sock_filter; ``KeyError`` for a machine without a table.

    ``writes``: files may be opened for writing, because rules of Landlock say which.
    """
    architecture, numbers = _TABLES[machine]
    return b"".join(_instructions(architecture, numbers, _MAKES if writes else _MAKES | _WRITES))


def _instructions(architecture: int, numbers: dict[str, int], flags: int) -> Iterator[bytes]:
    """Each rule is a comparison that skips its own body when it does not apply."""
    yield _word(_ARCHITECTURE)
    yield _step(_JUMP_EQUAL, architecture, 1, 0)
    yield _give(_KILL)
    yield _word(_NUMBER)
    yield _step(_JUMP_AT_LEAST, _X32, 0, 1)  # the same calls by other numbers
    yield _give(_KILL)
    for name in _FORBIDDEN:
        if name in numbers:
            yield _step(_JUMP_EQUAL, numbers[name], 0, 1)
            yield _give(_ERRNO | _EPERM)
    # glibc then uses clone, whose flags are in a register, where a filter can read them.
    yield _step(_JUMP_EQUAL, numbers["clone3"], 0, 1)
    yield _give(_ERRNO | _ENOSYS)
    yield from _when_any(numbers["clone"], 0, _CLONE_THREAD, hit=_ALLOW, miss=_ERRNO | _EPERM)
    if "open" in numbers:
        yield from _when_any(numbers["open"], 1, flags, hit=_ERRNO | _EPERM, miss=_ALLOW)
    yield from _when_any(numbers["openat"], 2, flags, hit=_ERRNO | _EPERM, miss=_ALLOW)
    yield _give(_ALLOW)


def _when_any(number: int, argument: int, bits: int, *, hit: int, miss: int) -> Iterable[bytes]:
    """For one call: whether its argument has any of the bits decides."""
    return (
        _step(_JUMP_EQUAL, number, 0, 4),
        _word(_ARGUMENTS + 8 * argument),  # the low half, on little-endian machines
        _step(_JUMP_ANY, bits, 0, 1),
        _give(hit),
        _give(miss),
    )


def _word(offset: int) -> bytes:
    return _step(_LOAD, offset)


def _give(action: int) -> bytes:
    return _step(_RETURN, action)


def _step(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, value)


def _forbid_calls(libc: ctypes.CDLL, *, writes: bool) -> None:
    program = ctypes.create_string_buffer(filter_program(os.uname().machine, writes=writes))
    header = struct.pack("=HxxxxxxQ", (len(program) - 1) // 8, ctypes.addressof(program))
    _must(libc.prctl(22, 2, ctypes.c_char_p(header), 0, 0), "seccomp")


# --- Landlock

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_SYSTEM: Final = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/dev/urandom")
_RIGHTS_OF_VERSION: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many of the rights to files each version knows; a later one has those of the last."""


def _forbid_files(libc: ctypes.CDLL, image: int, program: str) -> bool:
    """Whether the kernel has Landlock, and its rules hold now."""
    version = libc.syscall(_CREATE, None, 0, 1)
    if version < 1:
        return False  # an older kernel, or one started without it: the other walls stand
    files = (1 << _RIGHTS_OF_VERSION[min(version, max(_RIGHTS_OF_VERSION))]) - 1
    sockets = 3 if version >= 4 else 0
    rules = struct.pack("=QQ", files, sockets)[: 16 if sockets else 8]
    ruleset = _must(libc.syscall(_CREATE, rules, len(rules), 0), "landlock_create_ruleset")
    _allow(libc, ruleset, image, _READ_FILE)
    _allow_path(libc, ruleset, "/dev/null", _READ_FILE | _WRITE_FILE)  # where QEMU tries out locks
    for path in (*_SYSTEM, program):
        folder = os.path.isdir(path)  # noqa: PTH112
        _allow_path(libc, ruleset, path, _EXECUTE | _READ_FILE | (_READ_DIR if folder else 0))
    _must(libc.syscall(_RESTRICT, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)
    return True


def _allow_path(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    _allow(libc, ruleset, fd, rights)
    os.close(fd)


def _allow(libc: ctypes.CDLL, ruleset: int, fd: int, rights: int) -> None:
    _must(libc.syscall(_ADD, ruleset, 1, struct.pack("=Qi", rights, fd), 0), "landlock_add_rule")


def _must(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


# --- limits


def _limit(cpu_seconds: int, address_space: int) -> None:
    for what, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 256),
        # Also of each thread: QEMU starts up to 64 of them, and their stacks count as address space.
        (resource.RLIMIT_STACK, 1 << 20),
        (resource.RLIMIT_AS, address_space),
    ):
        resource.setrlimit(what, (limit, limit))
    # The hard limit is higher, so that the soft one ends it by SIGXCPU: a SIGKILL then came from somebody else.
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))


def main(arguments: list[str]) -> NoReturn:
    image, cpu_seconds, address_space = map(int, arguments[:3])
    program = arguments[3]
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        _must(libc.prctl(38, 1, 0, 0, 0), "no_new_privs")
        ruled = _forbid_files(libc, image, program)
        _forbid_calls(libc, writes=ruled)
        _limit(cpu_seconds, address_space)
        os.execv(program, arguments[3:])  # noqa: S606
    except (OSError, KeyError) as error:
        print(f"{program} could not be confined: {error}", file=sys.stderr)
        sys.exit(NOT_CONFINED)


if __name__ == "__main__":
    main(sys.argv[1:])
