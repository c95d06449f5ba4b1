"""A cycle that has really been run: an expert, and a policy that breaks in the middle of its episodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from aiohttp import web

from consumers.audit.again import Simulators, simulators
from consumers.audit.sources import LogSource
from events.connection import Connection, connect
from events.ids import EnvId, EpisodeKey, Uid
from events.jetstream import JetStreamLog
from events.traces import TraceStore
from events.variation import STANDARD
from sim.experts import PolicyKind, decide
from sim.rl_interface import encode_action
from tests.controls import facts
from tests.fixtures.evaluated import evaluate, keys_of, seal
from tests.fixtures.nats import running
from tests.fixtures.policies import expert, served

TERMS = facts.TERMS.model_copy(
    update={"act_deadline_ms": 20_000, "reset_deadline_ms": 20_000, "steps_max": 60, "variation": STANDARD}
)
ENVIRONMENTS = tuple(EnvId(f"metaworld/{task}") for task in ("reach-v3", "push-v3", "drawer-open-v3"))
PLAN = facts.planned(1, environments=ENVIRONMENTS, episodes=1, terms=TERMS)
UNSEALED = facts.planned(2, environments=ENVIRONMENTS[:1], episodes=1, terms=TERMS)

EXPERTS = EpisodeKey(PLAN.cycle, Uid(0), ENVIRONMENTS[0], 0)
"""An episode that succeeds."""


class Breaking:
    """Acts at random, and from some call on answers NaN."""

    def __init__(self, sound_calls: int) -> None:
        self._left = sound_calls

    async def __call__(self, body: bytes) -> web.Response:
        self._left -= 1
        if self._left < 0:
            return web.Response(body=b'{"action":{"continuous":{"ee_twist":[NaN,0,0,0,0,0]}}}')
        return web.Response(body=encode_action(decide(PolicyKind.RANDOM, body)), content_type="application/json")


@dataclass(frozen=True)
class Evaluated:
    """Cycle 1 has ended, cycle 2 has not."""

    nats_url: str
    keys: tuple[EpisodeKey, ...]
    """Of cycle 1."""


@pytest.fixture(scope="module")
def evaluated() -> Iterator[Evaluated]:
    with running() as server:
        asyncio.run(_run_cycles(server.url))
        yield Evaluated(server.url, tuple(keys_of(PLAN)))


async def _run_cycles(nats_url: str) -> None:
    async with served(expert) as good, served(Breaking(90)) as bad:
        urls = {Uid(0): good.url, Uid(1): bad.url}
        await evaluate(nats_url, PLAN, urls)
        await evaluate(nats_url, UNSEALED, urls)
    async with await connect(nats_url, "test") as connection:
        await seal(connection, PLAN)


@pytest.fixture
async def nats_of_cycle(evaluated: Evaluated) -> AsyncIterator[Connection]:
    async with await connect(evaluated.nats_url, "audit") as connection:
        yield connection


@pytest.fixture
def source(nats_of_cycle: Connection) -> LogSource:
    return LogSource(JetStreamLog(nats_of_cycle), TraceStore(nats_of_cycle))


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Simulators]:
    """Another process than the one that has run the episodes."""
    with simulators() as processes:
        yield processes
