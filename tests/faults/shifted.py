"""Clocks that are wrong, by libfaketime: what a process takes for the time of day. How fast time runs stays true."""

from __future__ import annotations

import functools
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

Variables = dict[str, str]


def off_by(seconds: float) -> Variables:
    """Variables for a process whose clock is so far ahead of ours, or behind."""
    return _faked() | {"FAKETIME": f"{seconds:+}"}


class HandClock:
    """Stands where it is put; whoever has its variables has its time."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def show(self, moment: datetime) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}\n")
        new.replace(self._file)

    @property
    def variables(self) -> Variables:
        return _faked() | {"FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_NO_CACHE": "1", "TZ": "UTC"}


@functools.cache
def _library() -> str:
    """Its file. `faketime` itself would say it, but fails where one was killed that had the same process id."""
    command = shutil.which("faketime")
    if command is None:
        pytest.skip(
            "there is no `faketime`, which gives a process a wrong clock; on Debian: apt-get install faketime"
        )
    prefix = Path(command).resolve().parents[1]
    found = [file for place in ("lib*", "lib*/*") for file in prefix.glob(f"{place}/faketime/libfaketimeMT.so.1")]
    assert found, f"{command} has no libfaketimeMT.so.1 below {prefix}"
    return str(found[0])


def _faked() -> Variables:
    return {
        "LD_PRELOAD": _library(),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # its cure for another C library makes threads wait for milliseconds
        "FAKETIME_DISABLE_SHM": "1",
    }
