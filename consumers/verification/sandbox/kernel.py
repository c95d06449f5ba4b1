"""The system calls that the standard library lacks, through the C library. Linux 5.12 or newer.

Each raises OSError with the name of the call, its arguments and the kernel's reason.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x00020000, 0x02000000, 0x04000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x08000000, 0x10000000, 0x20000000, 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x8, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2

MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 0x1, 0x2, 0x4

_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 24, 38
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITIES_MAX = 64

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(namespaces: int) -> None:
    _checked(_libc.unshare(namespaces), f"unshare({namespaces:#x})")


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    done = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _checked(done, f"mount({source}, {target}, {kind}, {flags:#x}, {options})")


def bind(source: str, target: str, attributes: int) -> None:
    """`source` at `target` with everything mounted below it; `attributes` are added to those it has."""
    mount(source, target, "", MS_BIND | MS_REC)
    set_mount_attributes(target, attributes, below=True)


def set_mount_attributes(target: str, attributes: int, *, below: bool) -> None:
    structure = struct.pack("<QQQQ", attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if below else 0
    done = _libc.syscall(
        ctypes.c_long(_MOUNT_SETATTR),
        ctypes.c_long(_AT_FDCWD),
        target.encode(),
        ctypes.c_long(flags),
        structure,
        ctypes.c_size_t(len(structure)),
    )
    _checked(done, f"mount_setattr({target}, {attributes:#x})")


def unmount(target: str) -> None:
    """At once for everybody who looks for it, and for good when nobody uses it any more."""
    _checked(_libc.umount2(target.encode(), MNT_DETACH), f"umount2({target})")


def pivot_root(new: str, old: str) -> None:
    number = _PIVOT_ROOT[os.uname().machine]
    _checked(_libc.syscall(ctypes.c_long(number), new.encode(), old.encode()), f"pivot_root({new}, {old})")


def die_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def hide_memory() -> None:
    """Nobody without CAP_SYS_PTRACE may look at this process any more."""
    _prctl(_PR_SET_DUMPABLE, 0)


def renounce_capabilities() -> None:
    """All, for ever, and for every program that is executed from here."""
    for capability in range(_CAPABILITIES_MAX):
        if _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) != 0:
            break  # the kernel knows no more of them
    header, none = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0), bytes(24)
    _checked(_libc.capset(header, none), "capset()")
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def filter_system_calls(program: bytes) -> None:
    """`program`: instructions of 8 bytes, from `seccomp`."""
    instructions = ctypes.create_string_buffer(program, len(program))
    structure = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    _checked(
        _libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), structure, 0, 0), "prctl(PR_SET_SECCOMP)"
    )


def _prctl(option: int, value: int) -> None:
    done = _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
    _checked(done, f"prctl({option}, {value})")


def _checked(result: int, call: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
