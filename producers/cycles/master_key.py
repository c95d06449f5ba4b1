"""The operator's master key: 32 secret bytes from which every cycle's secret follows.

Whoever has it knows the seeds of a cycle as soon as its block is final. Lost in the middle of a cycle, that cycle can
never be sealed. Use one key for one log: with the same key, cycle 7 of two logs has the same secret, and the one that
ends first reveals it for both.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

KEY_BYTES = 32


class MasterKeyRefused(Exception):
    """The key file is not fit to be used. The message names the file, what is wrong, and the remedy."""


def read_or_create_master_key(path: Path) -> bytes:
    """The key in this file, as 32 bytes; where there is no file, a new key, kept there first (hex, mode 0600).

    Raises:
        MasterKeyRefused: others may read it, it is too short or no hex, or the file cannot be read or written.
    """
    try:
        if not path.exists():
            _create(path)
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(4096)
    except OSError as error:
        raise MasterKeyRefused(
            f"master key {path}: {error.strerror}; choose a file that this user may read and write"
        ) from error
    if mode & 0o077:
        raise MasterKeyRefused(f"master key {path} has mode {mode:04o}: others may read it; run chmod 600 {path}")
    return _parse(path, text)


def _create(path: Path) -> None:
    """Puts a whole file in place or none: a reader never meets half a key, and two creators agree on one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(KEY_BYTES).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first; its key is as good
            os.link(draft, path)
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _parse(path: Path, text: bytes) -> bytes:
    remedy = f"write {KEY_BYTES} random bytes as hex (openssl rand -hex {KEY_BYTES})"
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError as error:
        raise MasterKeyRefused(f"master key {path} is not hex; {remedy}") from error
    if len(key) < KEY_BYTES:
        raise MasterKeyRefused(f"master key {path} has {len(key)} bytes, expected at least {KEY_BYTES}; {remedy}")
    return key
