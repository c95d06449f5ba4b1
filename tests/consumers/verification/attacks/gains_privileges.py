"""Tries the ways to more rights: users, mounts, namespaces, and the kernel's large and young parts."""

from __future__ import annotations

import ctypes
import os

from attempts import Attempts, filtered  # type: ignore[import-not-found]

NEWUSER, NEWNS = 0x10000000, 0x00020000


def capability() -> str:
    """Takes every capability for itself."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)) == -1:
        raise PermissionError(ctypes.get_errno(), "capset")
    return "all capabilities"


def make_policy() -> object:
    return Attempts(
        {
            "setuid": lambda: os.setuid(0),
            "setgid": lambda: os.setgid(0),
            "setgroups": lambda: os.setgroups([0]),
            "capset": capability,
            "device": lambda: os.mknod("/tmp/kinitro-attack", 0o060600, os.makedev(254, 0)),
            "priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, -20),
            "mount": filtered(165, 40, 0, 0, 0, 0, 0),
            "umount2": filtered(166, 39, 0, 0),
            "pivot_root": filtered(155, 41, 0, 0),
            "chroot": filtered(161, 51, 0),
            "fsopen": filtered(430, 430, 0, 0),
            "open_tree": filtered(428, 428, -100, 0, 0),
            "move_mount": filtered(429, 429, 0, 0, 0, 0, 0),
            "mount_setattr": filtered(442, 442, -100, 0, 0, 0, 0),
            "unshare": filtered(272, 97, NEWUSER | NEWNS),
            "setns": filtered(308, 268, 0, 0),
            "clone": filtered(56, 220, NEWUSER | 17, 0, 0, 0, 0),
            "clone3": filtered(435, 435, 0, 0),
            "bpf": filtered(321, 280, 0, 0, 0),
            "perf_event_open": filtered(298, 241, 0, 0, 0, 0, 0),
            "userfaultfd": filtered(323, 282, 0),
            "io_uring_setup": filtered(425, 425, 1, 0),
            "keyctl": filtered(250, 219, 0, -3, 1),
            "add_key": filtered(248, 217, 0, 0, 0, 0, 0),
            "personality": filtered(135, 92, 0x0040000),
            "open_by_handle_at": filtered(304, 265, 0, 0, 0),
            "kexec_load": filtered(246, 104, 0, 0, 0, 0),
            "init_module": filtered(175, 105, 0, 0, 0),
            "finit_module": filtered(313, 273, -1, 0, 0),
            "sethostname": filtered(170, 161, 0, 0),
            "reboot": filtered(169, 142, 0, 0, 0, 0),
            "settimeofday": filtered(164, 170, 0, 0),
        }
    )
