"""The operator's master key: 32 secret bytes from which every cycle's secret follows.

Whoever has it knows the seeds of a cycle as soon as its block is final. Lost in the middle of a cycle, that cycle can
never be sealed. Use one key for one log: with the same key, cycle 7 of two logs has the same secret, and the one that
ends first reveals it for both.
"""

from __future__ import annotations

from pathlib import Path

from events.secret_file import SECRET_BYTES, read_or_create_secret

KEY_BYTES = SECRET_BYTES


def read_or_create_master_key(path: Path) -> bytes:
    """The key in this file, at least 32 bytes; where there is no file, a new one.

    Raises:
        SecretRefused: the file is not fit to be used.
    """
    return read_or_create_secret(path, "master key")
