"""A validator between a real API and a real node: what comes out on the chain."""

from __future__ import annotations

from consumers.validator.validator import Outcome
from tests.chain.node import Node
from tests.consumers.validator.conftest import UID, Workplace


async def test_weights_that_pass_all_checks_are_on_the_chain(workplace: Workplace, node: Node) -> None:
    async with workplace.validator() as validator:
        came = await validator.round()

    assert came.outcome is Outcome.SUBMITTED, came
    assert set(node.chain.world.weights) == {UID}
