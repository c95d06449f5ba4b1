"""The limit on open files, in a process of its own: what is lowered there cannot be raised again."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from tests.cli.conftest import ROOT

STREAMS_MAX = 500

RUN_AND_TELL = f"""
import resource, sys
from api.open_files import allow_open_files
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
allowed = allow_open_files({STREAMS_MAX})
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (allowed, hard)
print("allowed", allowed)
"""


@pytest.fixture
def hard() -> int:
    """Of this machine; the tests need one that can be lowered."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4_096 and hard != resource.RLIM_INFINITY:
        pytest.skip(f"only {hard} files can be open on this machine")
    return hard


def allowed(soft: int, hard: int) -> str:
    """What is printed and logged, by a process that begins with these limits."""
    return subprocess.run(
        [sys.executable, "-c", RUN_AND_TELL, str(soft), str(hard)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


@pytest.mark.usefixtures("hard")
def test_as_many_files_can_be_open_as_the_system_permits() -> None:
    assert allowed(soft=256, hard=4_096) == "allowed 4096\n"


@pytest.mark.usefixtures("hard")
def test_it_is_told_where_those_are_too_few_for_all_streams() -> None:
    told = allowed(soft=256, hard=1_024)
    assert "too few files can be open for all streams" in told
    assert told.endswith("allowed 1024\n")
