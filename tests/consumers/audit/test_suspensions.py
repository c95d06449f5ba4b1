"""`kinitro audit history` says whether plans suspend whose latest conclusive spot check failed, and nobody else."""

from __future__ import annotations

import pytest

from consumers.audit.history.sources import audit_log
from consumers.signing.handler import Signing
from events.codec import draft
from events.envelope import begin
from events.event import Event
from events.memory import MemoryLog
from tests.controls import facts
from tests.controls.keys import FIRST

Checks = tuple[Event, ...]


async def verdict_of(*cycles: tuple[dict[int, int] | None, Checks]) -> str:
    """Of a log with these cycles: whom the plan suspends since when (None: it checks nobody), and its checks."""
    log = MemoryLog()
    for number, (suspended, checks) in enumerate(cycles, start=1):
        terms = None if suspended is None else facts.verification_terms(suspended=suspended)
        plan = facts.planned(number, uids=(0, 1, 2), verification=terms)
        for event in (plan, *checks, facts.cycle_abandoned(number), facts.weights_withheld(number)):
            await log.append([draft(begin(event, source="/test"))])
    await Signing(log, FIRST).catch_up()
    return (await audit_log(log, None, None)).verdict


FAILED, PASSED, UNKNOWN = facts.verification_failed, facts.verification_passed, facts.verification_inconclusive


async def test_who_failed_is_suspended_until_it_passes() -> None:
    verdict = await verdict_of(
        ({}, (FAILED(1, 1), PASSED(1, 0))),
        ({1: 1}, (UNKNOWN(2, 1),)),
        ({1: 1}, (FAILED(3, 1), FAILED(3, 2))),
        ({1: 3, 2: 3}, (PASSED(4, 1), UNKNOWN(4, 2))),
        ({2: 3}, ()),
    )
    assert verdict == "only ever appended to"


async def test_a_plan_that_checks_nobody_suspends_nobody() -> None:
    assert await verdict_of(({}, (FAILED(1, 1),)), (None, ()), ({1: 1}, ())) == "only ever appended to"


@pytest.mark.parametrize(
    ("suspended", "told"),
    [
        ({}, "expected suspended since cycle 1, found not suspended"),
        ({1: 1, 2: 1}, "expected not suspended, found suspended since cycle 1"),
    ],
)
async def test_a_plan_that_suspends_others_is_told(suspended: dict[int, int], told: str) -> None:
    verdict = await verdict_of(({}, (FAILED(1, 1),)), (suspended, ()))
    assert told in verdict
    assert verdict.startswith("cycle 2, suspended uid ")


async def test_a_suspension_since_another_cycle_is_told() -> None:
    verdict = await verdict_of(({}, (FAILED(1, 1),)), ({1: 1}, (FAILED(2, 1),)), ({1: 1}, ()))
    assert verdict == ("cycle 3, suspended uid 1: expected suspended since cycle 2, found suspended since cycle 1")
