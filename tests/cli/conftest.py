"""The command line as people use it: arguments in; status, standard output and standard error out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import kinitro

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, str(ROOT / "kinitro.py"))

MINER = """[[miner]]
hotkey = "somebody"
uid = 0
endpoint = "{endpoint}"
repo = "somebody/policy"
revision = "r1"
committed_block = 1
"""


class Answer(NamedTuple):
    """What a command came to."""

    status: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Runs `kinitro ARGUMENTS` in this process, in an empty directory: as a process of its own would, but quicker."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())  # what `.env` sets ends with the test
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["kinitro", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            kinitro.main()
        out, err = capsys.readouterr()
        return Answer(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def roster(tmp_path: Path) -> Path:
    """A good one."""
    path = tmp_path / "roster.toml"
    path.write_text(MINER.format(endpoint="http://127.0.0.1:9"))
    return path


@contextmanager
def running(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """`kinitro ARGUMENTS` as a process, asked to end at the end."""
    process = subprocess.Popen(
        [*PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
