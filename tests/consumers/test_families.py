"""Every family runs through the worker's handler, over HTTP, against the expert that we serve."""

from __future__ import annotations

import pytest

from consumers.simulation.handler import EpisodeHandler
from consumers.simulation.simulator import Simulator
from consumers.work import Done
from events.codec import decode
from events.episodes import EpisodeCompleted
from events.ids import EnvId
from events.memory import MemoryLog
from sim.experts import PolicyKind
from sim.http.server import PolicyServer
from sim.stage import SimulationThread
from sim.suite import FAMILIES
from tests.controls import facts
from tests.controls.tasks import task

TERMS = facts.TERMS.model_copy(update={"act_deadline_ms": 30_000, "reset_deadline_ms": 30_000})
ONE_OF_EACH = [EnvId("metaworld/reach-v3"), *FAMILIES["control"].environments]


@pytest.mark.parametrize("env", ONE_OF_EACH)
async def test_the_served_expert_completes_the_episode_with_success(env: EnvId) -> None:
    log = MemoryLog()
    async with SimulationThread() as stage, PolicyServer(PolicyKind.EXPERT) as policy:
        simulator = Simulator(stage, allow_private_endpoints=True)
        handler = EpisodeHandler(log, simulator.run, own_network=simulator.own_network, worker="worker-1")
        it = task(env=env, endpoint=policy.url, terms=TERMS)
        assert await handler.handle(it.model_dump_json().encode(), delivery=1) == Done()
    [event] = [decode(stored).event async for batch in log.read() for stored in batch]
    assert isinstance(event, EpisodeCompleted)
    assert event.success


async def test_the_random_policy_is_understood_by_every_family() -> None:
    log = MemoryLog()
    terms = TERMS.model_copy(update={"max_steps": 5})
    async with SimulationThread() as stage, PolicyServer(PolicyKind.RANDOM) as policy:
        simulator = Simulator(stage, allow_private_endpoints=True)
        handler = EpisodeHandler(log, simulator.run, own_network=simulator.own_network, worker="worker-1")
        for env in ONE_OF_EACH:
            it = task(env=env, endpoint=policy.url, terms=terms)
            await handler.handle(it.model_dump_json().encode(), delivery=1)
    events = [decode(stored).event async for batch in log.read() for stored in batch]
    assert [type(event) for event in events] == [EpisodeCompleted] * len(ONE_OF_EACH)
