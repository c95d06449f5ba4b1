"""Deliveries of a check that nothing comes of: nobody is asked, so the checker is not needed."""

from __future__ import annotations

from typing import cast

from consumers.verification.checking import Checker
from consumers.verification.handler import CheckHandler
from consumers.verification.limits import DELIVERIES_MAX
from consumers.work import Done, Drop
from events.codec import draft
from events.envelope import begin
from events.memory import MemoryLog
from tests.controls import facts

BODY = facts.check_task().model_dump_json().encode()
TOO_OFTEN = DELIVERIES_MAX + 1


def verifier(log: MemoryLog) -> CheckHandler:
    return CheckHandler(log, cast(Checker, None), verifier="verifier-1")


async def test_a_check_that_was_taken_up_too_often_is_dropped() -> None:
    log = MemoryLog()
    answer = await verifier(log).handle(BODY, delivery=TOO_OFTEN)
    assert isinstance(answer, Drop)
    assert "taken up 20 times without an outcome" in answer.reason
    assert await log.last_sequence() == 0


async def test_one_that_has_its_outcome_is_done_however_often_it_comes() -> None:
    log = MemoryLog()
    await log.append([draft(begin(facts.verification_passed(), source="/test"))])
    assert await verifier(log).handle(BODY, delivery=TOO_OFTEN) == Done()


async def test_what_is_wrong_with_a_check_is_told_without_endpoints() -> None:
    secret = facts.check_task().endpoint
    answer = await verifier(MemoryLog()).handle(BODY.replace(b'"samples":', b'"sampled":'), delivery=1)
    assert isinstance(answer, Drop)
    assert "samples: Field required" in answer.reason
    assert secret not in answer.reason
