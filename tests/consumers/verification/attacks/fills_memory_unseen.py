"""Takes memory that shows in no process: anonymous files, System V segments, message queues, semaphores."""

from __future__ import annotations

from pathlib import Path

from attempts import Attempts, filtered  # type: ignore[import-not-found]


def make_policy() -> object:
    return Attempts(
        {
            "memfd_create": filtered(319, 279, 0, 0),
            "memfd_secret": filtered(447, 447, 0),
            "shmget": filtered(29, 194, 0, 1 << 30, 0o1600),
            "msgget": filtered(68, 186, 0, 0o1600),
            "semget": filtered(64, 190, 0, 100, 0o1600),
            "mq_open": filtered(240, 180, 0, 0o100, 0o600, 0),
            "/dev/shm": lambda: Path("/dev/shm/kinitro-attack").write_bytes(b"x"),
        }
    )
