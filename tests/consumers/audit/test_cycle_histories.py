"""Cycles as they were once exported: every later version must find them identical, for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.audit.cycle.audit import audit_export
from consumers.audit.cycle.verdicts import Name
from events.ids import CycleId
from tests.controls.exports import KEY, key_of

CYCLES = Path(__file__).parents[2] / "histories" / "cycles"


@pytest.mark.parametrize("path", sorted(CYCLES.glob("*.ndjson")), ids=lambda path: path.stem)
def test_a_recorded_cycle_is_identical(path: Path) -> None:
    with path.open("rb") as lines:
        audit = audit_export(CycleId(1), lines, key_of(KEY))
    assert audit.verdict == "identical"
    assert next(it.same for it in audit.verdicts if it.name is Name.SIGNATURE)
