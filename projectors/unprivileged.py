"""Runs a command as an ordinary user who may still pass through root's directories.

    python unprivileged.py UID:GID -- command argument ...

PostgreSQL refuses to run as root. A plain change of user would cut it off from a data directory below a directory
that only root may enter (a checkout in /root, say), and opening up those directories is not ours to do. So the
command becomes user UID but keeps one capability, CAP_DAC_OVERRIDE, as *ambient*: it survives the `exec`, and
everything that the command starts has it too.

The process is replaced, not wrapped: signals and the exit status are the command's own. A parent-death signal that
was armed before (`PR_SET_PDEATHSIG`) is armed again, because the kernel forgets it when the user changes.

Only the standard library is imported, so that this file can be run by its path with `python -I -S`.
"""

from __future__ import annotations

import ctypes
import os
import sys

CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2

EXIT_REFUSED = 2
"""To a supervisor: trying again will not help."""


class CannotBecome(Exception):
    """The change of user, or keeping the capability, was refused."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def main(arguments: list[str]) -> int:
    """Becomes the user and executes the command; returns only where that was refused."""
    user, _, *command = arguments
    uid, gid = map(int, user.split(":"))
    try:
        become(uid, gid)
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    except (CannotBecome, OSError) as error:
        sys.stderr.write(f"{error}\n")
    return EXIT_REFUSED


def become(uid: int, gid: int) -> None:
    """Makes this process user `uid` with CAP_DAC_OVERRIDE as its only capability.

    Raises:
        CannotBecome: not on Linux, or not permitted (a container with that capability dropped).
    """
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        parent, death_signal = os.getppid(), ctypes.c_int(0)
        _check(libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(death_signal)))
        _check(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        _keep_only(libc, CAP_DAC_OVERRIDE)
        _check(libc.prctl(_PR_SET_PDEATHSIG, death_signal.value))
    except (OSError, AttributeError) as error:
        raise CannotBecome(
            f"root cannot run PostgreSQL as user {uid} here ({error}): start as an ordinary user, give the container"
            " CAP_DAC_OVERRIDE, CAP_SETUID and CAP_SETGID, or name a server with --database-url"
        ) from error
    if death_signal.value and os.getppid() != parent:
        raise CannotBecome("the parent ended while PostgreSQL was being started")


def _keep_only(libc: ctypes.CDLL, capability: int) -> None:
    mask = 1 << capability
    sets = (_Sets * 2)(_Sets(mask, mask, mask), _Sets(0, 0, 0))
    _check(libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), sets))
    _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
