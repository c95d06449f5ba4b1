"""Cycles as they were once exported: every later version must find them identical, for ever.

`demo` and `on-chain` are real ones, of `kinitro demo` and of a subnet on a test's chain; the others were made, each
signed by the key that it announces. `spot-checks` has every kind of outcome of a check, and copies;
`spot-checks-by-channel` the same, as later plans measure an action's error.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.audit.cycle.audit import audit_export
from consumers.audit.cycle.verdicts import Name
from events.cycles import CyclePlanned
from events.ids import CycleId
from tests.controls.exports import document

CYCLES = Path(__file__).parents[2] / "histories" / "cycles"


@pytest.mark.parametrize("path", sorted(CYCLES.glob("*.ndjson")), ids=lambda path: path.stem)
def test_a_recorded_cycle_is_identical(path: Path) -> None:
    cycle = next(it["data"]["cycle"] for it in map(document, path.open("rb")) if it["type"] == CyclePlanned.type)
    with path.open("rb") as lines:
        audit = audit_export(CycleId(cycle), lines)
    assert audit.verdict == "identical"
    assert next(it.same for it in audit.verdicts if it.name is Name.SIGNATURE)
