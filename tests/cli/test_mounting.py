"""Commands are imported when they are called: the overview says of each what it says itself, and imports none."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

import kinitro
from events.mounting import Mounted
from tests.cli.conftest import PROGRAM

HEAVY = {"fastapi", "metaworld", "mujoco", "numpy", "sqlalchemy"}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["identity", "--help"], ["identity", "show", "--help"], ["miner", "show", "--help"]],
    ids=" ".join,
)
def test_a_light_command_imports_nothing_heavy(arguments: list[str]) -> None:
    command = [PROGRAM[0], "-X", "importtime", *PROGRAM[1:], *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr[-2000:]
    imported = {
        line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")
    }
    assert "events.for_people" in imported
    assert imported & HEAVY == set()


def mounted(commands: tuple[Mounted, ...]) -> Iterator[Mounted]:
    for command in commands:
        yield command
        yield from mounted(command.within)


@pytest.mark.parametrize("command", list(mounted(kinitro.COMMANDS)), ids=lambda command: command.name)
def test_the_overview_says_what_the_command_says(command: Mounted) -> None:
    itself = command.load()
    assert (command.help, command.hidden) == (itself.help.split("\n\n")[0], itself.hidden)
