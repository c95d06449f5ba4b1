"""A file that holds one secret of ours: 32 bytes as hex, readable by its owner alone, made on first use."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from events.for_people import ForPeople

SECRET_BYTES = 32


class SecretRefused(ForPeople):
    """The file is not fit to be used. The message names the file, what is wrong, and the remedy."""


def read_or_create_secret(path: Path, title: str) -> bytes:
    """The secret in this file, 32 bytes or more; where there is no file, a new one of 32, kept there first.

    `title` says in messages what it is: "master key".

    Raises:
        SecretRefused: others may read it, it is too short or no hex, or the file cannot be read or written.
    """
    try:
        if not path.exists():
            with suppress(FileExistsError):  # another process was first; its secret is as good
                _create(path)
    except OSError as error:
        raise _unusable(path, title, error) from error
    return read_secret(path, title)


def read_secret(path: Path, title: str) -> bytes:
    """The secret in this file, 32 bytes or more.

    Raises:
        SecretRefused: there is no file, others may read it, it is too short or no hex, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(4096)
    except OSError as error:
        raise _unusable(path, title, error) from error
    if mode & 0o077:
        raise SecretRefused(f"{title} {path} has mode {mode:04o}: others may read it; run chmod 600 {path}")
    return parse_secret(f"{title} {path}", text)


def create_secret(path: Path, title: str) -> bytes:
    """A new secret of 32 bytes, kept in a file that did not exist.

    Raises:
        SecretRefused: the file exists, which is left as it is, or it cannot be written.
    """
    try:
        _create(path)
    except FileExistsError as error:
        raise SecretRefused(f"{title} {path} exists and is kept; name another file, or move this one away") from error
    except OSError as error:
        raise _unusable(path, title, error) from error
    return read_secret(path, title)


def _unusable(path: Path, title: str, error: OSError) -> SecretRefused:
    return SecretRefused(f"{title} {path}: {error.strerror}; choose a file that this user may read and write")


def _create(path: Path) -> None:
    """Puts a whole file in place or none: a reader never meets half a secret, and two creators agree on one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(SECRET_BYTES).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def parse_secret(named: str, text: bytes) -> bytes:
    """The 32 bytes or more that stand in `text` as hex; `named` says in messages where that is.

    Raises:
        SecretRefused: it is too short or no hex.
    """
    remedy = f"write {SECRET_BYTES} random bytes as hex (openssl rand -hex {SECRET_BYTES})"
    try:
        secret = bytes.fromhex(text.decode("ascii").strip())
    except ValueError as error:
        raise SecretRefused(f"{named} is not hex; {remedy}") from error
    if len(secret) < SECRET_BYTES:
        raise SecretRefused(f"{named} has {len(secret)} bytes, expected at least {SECRET_BYTES}; {remedy}")
    return secret
