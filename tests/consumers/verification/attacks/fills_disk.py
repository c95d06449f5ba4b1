"""Writes to the scratch directory until nothing fits any more: bytes in one file, in many, and empty files."""

from __future__ import annotations

from pathlib import Path

from attempts import MARK, Attempts  # type: ignore[import-not-found]

SCRATCH_BYTES = 4 << 20


def one() -> object:
    with Path(f"/tmp/{MARK}").open("wb", buffering=0) as file:
        return [file.write(b"x" * SCRATCH_BYTES) for _ in range(2)]


def many() -> object:
    return [Path(f"/tmp/{MARK}-{n}").write_bytes(b"x" * 65_536) for n in range(SCRATCH_BYTES // 65_536 + 1)]


def empty() -> object:
    return [Path(f"/tmp/{MARK}-empty-{n}").write_bytes(b"") for n in range(10_001)]


def make_policy() -> object:
    return Attempts({"one": one, "many": many, "empty": empty})
