"""Exports as files: plain or gzip, or standard input and output.

FileTrouble    a file cannot be read or written: what, why, and what to do
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

from events.export import LINE_BYTES_MAX, CutOff, ExportError

STANDARD = Path("-")
"""Standard input or output."""

GZIP_MAGIC = b"\x1f\x8b"

GZIP_LEVEL = 6


class FileTrouble(ExportError):
    """A file cannot be read or written."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """Where to write an export: `path` appears, or is replaced, when all of it is on disk, and not at all on failure.

    A name that ends in `.gz` makes it gzip.

    Raises:
        FileTrouble: no such directory, not permitted, disk full.
    """
    if path == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with new.open("xb") as file:
            with _compressing(file) if path.suffix == ".gz" else contextlib.nullcontext(file) as sink:
                yield cast("IO[bytes]", sink)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise FileTrouble(f"{path}: {error.strerror or error}; make room, or choose another --out") from error
    finally:
        new.unlink(missing_ok=True)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """An export that can be read twice: standard input goes to a temporary file first.

    Raises:
        FileTrouble: it cannot be read, or there is no room for what comes from standard input.
    """
    try:
        with tempfile.TemporaryFile() if path == STANDARD else path.open("rb") as file:
            if path == STANDARD:
                shutil.copyfileobj(sys.stdin.buffer, file)
            yield cast("BinaryIO", file)
    except OSError as error:
        remedy = "make room, or set TMPDIR" if path == STANDARD else "give a file that can be read"
        raise FileTrouble(f"{path}: {error.strerror or error}; {remedy}") from error


def lines(file: BinaryIO) -> Iterator[bytes]:
    """All lines from the beginning, of a plain file or a compressed one. One that is too long comes in parts.

    Raises:
        CutOff: a compressed file ends too early, or was changed.
    """
    file.seek(0)
    is_gzip = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    file.seek(0)
    source = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if is_gzip else file
    number = 0
    try:
        while line := source.readline(LINE_BYTES_MAX + 1):
            number += 1
            yield line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CutOff(number + 1, f"the compressed file is broken: {error}", "get the export once more") from error


def _compressing(file: IO[bytes]) -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=file, mode="wb", compresslevel=GZIP_LEVEL, filename="", mtime=0)
