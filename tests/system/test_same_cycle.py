"""A cycle's result follows from its secret, its block hash, its roster and its policies, and from nothing else."""

from __future__ import annotations

import asyncio

import pytest

from tests.fixtures.subnet import run_undisturbed
from tests.system.backends import new_home
from tests.system.cycles import Result, Subnet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(700)]


async def test_two_homes_side_by_side_come_to_the_same_result(subnet: Subnet, undisturbed: Result) -> None:
    with new_home() as one, new_home() as other:
        first, second = await asyncio.gather(run_undisturbed(one, subnet), run_undisturbed(other, subnet))
    assert first == second == undisturbed


def test_better_policies_have_more_weight(undisturbed: Result) -> None:
    random, noisy, expert = undisturbed.u16
    assert random < noisy < expert
