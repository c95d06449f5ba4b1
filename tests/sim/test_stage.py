from __future__ import annotations

import threading

import pytest

from events.ids import EnvId, Seed
from sim.environment import Environment
from sim.errors import SimulationFailed
from sim.stage import SimulationThread
from tests.sim.in_process import NOTHING

REACH = EnvId("metaworld/reach-v3")


async def test_everything_runs_on_one_thread_that_is_not_the_loops(stage: SimulationThread) -> None:
    threads = {await stage.run(threading.get_ident) for _ in range(5)}
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


async def test_an_environment_is_reused(stage: SimulationThread) -> None:
    async with stage.environment(REACH, "state/1", max_steps=10) as first:
        pass
    async with stage.environment(REACH, "state/1", max_steps=10) as second:
        assert second is first


async def test_episodes_in_flight_have_environments_of_their_own(stage: SimulationThread) -> None:
    async with (
        stage.environment(REACH, "state/1", max_steps=10) as first,
        stage.environment(REACH, "state/1", max_steps=10) as second,
        stage.environment(REACH, "state/1", max_steps=20) as longer,
    ):
        assert len({id(first), id(second), id(longer)}) == 3


async def test_no_more_than_so_many_idle_environments_are_kept() -> None:
    async with SimulationThread(idle_environments_max=1) as stage:
        async with (
            stage.environment(REACH, "state/1", max_steps=10) as first,
            stage.environment(REACH, "state/1", max_steps=10) as second,
        ):
            pass
        async with (
            stage.environment(REACH, "state/1", max_steps=10) as third,
            stage.environment(REACH, "state/1", max_steps=10) as fourth,
        ):
            assert sum(one is other for one in (third, fourth) for other in (first, second)) == 1


async def test_an_environment_that_failed_is_thrown_away(stage: SimulationThread) -> None:
    borrowed: list[Environment] = []
    with pytest.raises(SimulationFailed, match="after the end"):
        await step_twice(stage, borrowed)
    async with stage.environment(REACH, "state/1", max_steps=1) as other:
        assert other is not borrowed[0]


async def step_twice(stage: SimulationThread, borrowed: list[Environment]) -> None:
    async with stage.environment(REACH, "state/1", max_steps=1) as environment:
        borrowed.append(environment)
        await stage.run(environment.reset, Seed(1))
        await stage.run(environment.step, NOTHING)
        await stage.run(environment.step, NOTHING)


async def test_an_unexpected_error_on_the_thread_is_our_failure(stage: SimulationThread) -> None:
    with pytest.raises(SimulationFailed, match="ZeroDivisionError in the simulation"):
        await stage.run(lambda: 1 / 0)
