"""Somebody between the backend and the validator changes a byte: nothing is submitted."""

from __future__ import annotations

import os
import random

import pytest

from consumers.validator.rounds import Outcome
from tests.chain.node import Node
from tests.consumers.validator.conftest import Workplace
from tests.consumers.validator.recorded import EVENTS, LATEST, SIGNED, record, serving
from tests.fixtures.http import Api

CHANGES = 1_000 if os.environ.get("KINITRO_TESTS_LONG") else 60
"""Of each document."""


async def test_answers_that_were_recorded_are_submitted(workplace: Workplace, published: Api, node: Node) -> None:
    async with serving(await record(published)) as served, workplace.validator(urls=[served.url]) as validator:
        assert (await validator.round()).outcome is Outcome.SUBMITTED
    assert node.chain.world.weights


@pytest.mark.parametrize("path", [LATEST, SIGNED, EVENTS])
async def test_no_single_byte_can_be_changed(workplace: Workplace, published: Api, node: Node, path: str) -> None:
    true = await record(published)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with serving(true) as served:
        for _ in range(CHANGES):
            served.answers, told = true.with_one_byte_changed(path, chance)
            async with workplace.validator(urls=[served.url]) as validator:
                came = await validator.round()
            assert came.outcome in (Outcome.REFUSED, Outcome.TROUBLE), f"seed {seed}: {told}: {came}"
    assert not node.chain.world.weights
    assert node.calls["author_submitAndWatchExtrinsic"] == 0


async def test_a_name_that_no_subject_can_hold_is_no_event(workplace: Workplace, published: Api) -> None:
    true = await record(published)
    last = true.bodies[EVENTS].rindex(b'"env":"metaworld/')
    altered = true.bodies[EVENTS][:last] + true.bodies[EVENTS][last:].replace(b"metaworld/", b"metaw:rld/", 1)
    async with serving(true.altered(EVENTS, altered)) as served, workplace.validator(urls=[served.url]) as validator:
        assert (await validator.round()).outcome is Outcome.REFUSED
