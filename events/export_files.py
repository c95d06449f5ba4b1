"""Exports as files: plain or gzip, or standard input and output.

FileTrouble    a file cannot be read or written, or is no export: what, why, and what to do
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

from events.export import LINE_BYTES_MAX, BadExport, CutOff, ExportError, Sink

STANDARD = Path("-")
"""Standard input or output."""

GZIP_MAGIC = b"\x1f\x8b"

GZIP_LEVEL = 6

WRITE = "make room, or choose another --out"
READ = "give a file that can be read"
READ_STANDARD = "make room, or set TMPDIR"


class FileTrouble(ExportError):
    """A file cannot be read or written, or is no export."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Sink]:
    """Where to write an export: `path` appears, or is replaced, when all of it is on disk, and not at all on failure.

    A name that ends in `.gz` makes it gzip. A device or a pipe is not replaced, but written to.

    Raises:
        FileTrouble: no such directory, not permitted, disk full.
    """
    if path == STANDARD:
        with _opened(path, sys.stdout.fileno(), "wb") as sink:
            yield sink
    elif path.exists() and not path.is_file():
        with _opened(path, path, "wb") as sink:
            yield sink
    else:
        final = path.resolve()
        new = final.with_name(f"{final.name}.{os.getpid()}.new")
        try:
            with _opened(path, new, "xb") as sink:
                yield sink
                sink.sync()
            with _telling(path, WRITE):
                new.replace(final)
        finally:
            new.unlink(missing_ok=True)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """An export that can be read twice: standard input goes to a temporary file first. Within, its errors name it.

    Raises:
        FileTrouble: it cannot be read, or is no export; or there is no room for what comes from standard input.
    """
    with contextlib.ExitStack() as stack:
        with _telling(path, READ_STANDARD if path == STANDARD else READ):
            file = stack.enter_context(tempfile.TemporaryFile() if path == STANDARD else path.open("rb"))  # noqa: SIM115  # closed on leaving `reading`
            if path == STANDARD:
                shutil.copyfileobj(sys.stdin.buffer, file)
        try:
            yield cast("BinaryIO", file)
        except BadExport as error:
            raise FileTrouble(f"{path}: {error}") from error


def lines(file: BinaryIO) -> Iterator[bytes]:
    """All lines from the beginning, of a plain file or a compressed one. One that is too long comes in parts.

    Raises:
        CutOff: a compressed file ends too early, or was changed.
        FileTrouble: it cannot be read any more.
    """
    number = 0
    try:
        file.seek(0)
        is_gzip = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        source = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if is_gzip else file
        while line := source.readline(LINE_BYTES_MAX + 1):
            number += 1
            yield line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CutOff(number + 1, f"the compressed file is broken: {error}", "get the export once more") from error
    except OSError as error:
        raise FileTrouble(f"{file.name}: {error.strerror or error} after {number} lines; {READ}") from error


class _Checked:
    """A file of which every failure is told as `FileTrouble`."""

    def __init__(self, name: Path, file: IO[bytes]) -> None:
        self._name, self._file = name, file
        self._sink = cast("IO[bytes]", _compressing(file)) if name.suffix == ".gz" else file

    def write(self, piece: bytes, /) -> None:
        with _telling(self._name, WRITE):
            self._sink.write(piece)

    def end(self) -> None:
        with _telling(self._name, WRITE):
            if self._sink is not self._file:
                self._sink.close()
            self._file.flush()

    def sync(self) -> None:
        self.end()
        with _telling(self._name, WRITE):
            os.fsync(self._file.fileno())


@contextlib.contextmanager
def _opened(name: Path, place: Path | int, mode: str) -> Iterator[_Checked]:
    with _telling(name, WRITE):
        file = cast("IO[bytes]", open(place, mode, closefd=not isinstance(place, int)))  # noqa: SIM115
    try:
        sink = _Checked(name, file)
        yield sink
        sink.end()
    finally:
        with contextlib.suppress(OSError):  # what could not be written was told already
            file.close()


@contextlib.contextmanager
def _telling(name: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read it has seen enough
    except OSError as error:
        raise FileTrouble(f"{name}: {error.strerror or error}; {remedy}") from error


def _compressing(file: IO[bytes]) -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=file, mode="wb", compresslevel=GZIP_LEVEL, filename="", mtime=0)
