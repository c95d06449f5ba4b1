"""Cycles as they were once exported: every later version must find them identical, for ever.

`demo` and `on-chain` are real ones, of `kinitro demo` and of a subnet on a test's chain; the others were made, each
signed by the key that it announces.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.audit.cycle.audit import audit_export
from consumers.audit.cycle.verdicts import Name
from events.ids import CycleId

CYCLES = Path(__file__).parents[2] / "histories" / "cycles"


@pytest.mark.parametrize("path", sorted(CYCLES.glob("*.ndjson")), ids=lambda path: path.stem)
def test_a_recorded_cycle_is_identical(path: Path) -> None:
    with path.open("rb") as lines:
        audit = audit_export(CycleId(1), lines)
    assert audit.verdict == "identical"
    assert next(it.same for it in audit.verdicts if it.name is Name.SIGNATURE)
