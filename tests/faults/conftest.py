"""What every fault has: a seed that is printed, and a line in the account that ends the run.

`KINITRO_FAULTS_SEED=7 make faults` draws other moments and victims; the same seed draws the same again.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

SEED = os.environ.get("KINITRO_FAULTS_SEED", "8")
LONG = os.environ.get("KINITRO_TESTS_LONG") == "1"
"""Whether servers are away for as long as the page says, and not for as long as it takes to notice."""
CAME_OUT = "came out"
ACCOUNT = Path(__file__).parents[2] / "build" / "faults.md"

Tell = Callable[[str], None]


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Draws moments and victims: the same ones for the same seed and test, whatever ran before."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Takes what came out of a fault, in a few words, for the account."""
    return lambda words: record_property(CAME_OUT, words)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = ["| fault | result | came out | seconds |", "|---|---|---|---|"]
    for result in ("passed", "failed", "skipped"):
        found = terminalreporter.stats.get(result, [])
        rows += [_row(report, result) for report in found if "/faults/" in report.nodeid]
    if len(rows) == 2:
        return
    ACCOUNT.parent.mkdir(exist_ok=True)
    ACCOUNT.write_text("\n".join([f"Seed {SEED}", "", *rows, ""]))
    terminalreporter.write_sep("=", f"faults, seed {SEED}")
    terminalreporter.write_line("\n".join(rows))


def _row(report: pytest.TestReport, result: str) -> str:
    came_out = "; ".join(str(value) for name, value in report.user_properties if name == CAME_OUT)
    name = report.nodeid.removeprefix("tests/faults/")
    return f"| `{name}` | {result} | {came_out} | {report.duration:.1f} |"
