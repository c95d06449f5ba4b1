"""One fixed cycle, written into a new log: whoever runs it later gets the same secret, block hash and roster.

Real blocks come from the clock, so two real cycles never have the same. Here the plan and the seed are made by the
same code as always, at a clock that stands still, and appended; the real scheduler finds and drives them.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from events import subjects
from events.codec import decode, draft
from events.connection import Connection, connect
from events.cycles import CyclePlanned, CycleSeeded
from events.envelope import RecordedEvent, begin, utc_now
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeForfeited
from events.event import Event
from events.ids import CycleId, EpisodeKey
from events.jetstream import JetStreamLog
from events.log import EventLog
from events.server import EmbeddedNats
from events.stream_settings import TASKS, WORKERS
from events.streams import ensure_streams
from events.verification_options import VerificationOptions
from events.weights import WeightsComputed
from producers.blocks import BLOCK_TIME_S, ClockBlocks
from producers.cycles.plan import plan_cycle
from producers.discovery.discovery import Discovery
from producers.discovery.registry import Registry
from producers.discovery.roster import RosterSource
from producers.options import CycleOptions, NetworkOptions
from producers.scheduling import GENESIS, Scheduling
from producers.scoring_options import ScoringOptions
from sim.runtime.embedded import run_or_join
from sim.versions import versions
from tests.eventually import eventually

CYCLE = CycleId(1)
MOMENT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
"""When the plan's block began, for ever."""

OUTCOMES = (EpisodeCompleted, EpisodeForfeited, EpisodeAbandoned)
CYCLE_S = 300.0
"""How long a cycle may take on a busy machine."""

EPISODE_RESULT = {
    "type",
    "success",
    "total_reward",
    "steps",
    "terminated",
    "truncated",
    "evidence",
}
"""What of an outcome follows from seed and policy alone; the rest says when, where, and how fast."""


@dataclass(frozen=True)
class Subnet:
    """What all backends of these tests have in common: the same miners, and the same master key."""

    roster: Path
    master_key: Path
    last_policy: int
    """The process that serves the last miner's policy."""
    terms: Mapping[str, Any] = field(default_factory=dict)
    """Options of cycles that are not as always."""

    def under(self, **terms: Any) -> Subnet:
        """The same miners, under other terms."""
        return replace(self, terms={**self.terms, **terms})

    @contextmanager
    def held(self) -> Iterator[Callable[[], None]]:
        """The last miner's policy answers nobody, until what this gives is called: no cycle can end before."""
        held = True

        def release() -> None:
            nonlocal held
            if held:
                os.kill(self.last_policy, signal.SIGCONT)
            held = False

        os.kill(self.last_policy, signal.SIGSTOP)
        try:
            yield release
        finally:
            release()

    @property
    def network(self) -> NetworkOptions:
        return NetworkOptions(network="local", roster=self.roster)

    @property
    def cycles(self) -> CycleOptions:
        always = CycleOptions(
            environments="metaworld/reach-v3,metaworld/push-v3,metaworld/pick-place-v3",
            episodes_per_env=3,
            observation_profile="state/1",
            action_timeout_ms=300_000,
            reset_timeout_ms=300_000,
            max_timesteps=150,
            master_key_file=self.master_key,
        )
        return replace(always, **self.terms)

    @property
    def verification(self) -> VerificationOptions:
        return VerificationOptions()


async def plan_and_seed(home: Path, subnet: Subnet) -> None:
    """Writes the cycle's beginning into the log of a home on which nothing runs."""
    async with run_or_join("nats", EmbeddedNats(home), home) as url, await connect(url, "test") as connection:
        await ensure_streams(connection)
        await write_beginning(JetStreamLog(connection), home, subnet)


async def write_beginning(log: EventLog, home: Path, subnet: Subnet) -> None:
    """Plan and seed of the cycle, and the miners before them, into an empty log."""
    now, later = (_blocks(MOMENT + timedelta(seconds=seconds)) for seconds in (0, 2 * BLOCK_TIME_S))
    await Discovery(RosterSource(subnet.roster, now), log).poll()
    registry = Registry()
    await registry.catch_up(log)
    settings = Scheduling(
        subnet.network, subnet.cycles, ScoringOptions(), home, versions(), subnet.verification
    ).settings()
    plan = plan_cycle(CYCLE, registry, settings, (await now.current()).number)
    assert isinstance(plan, CyclePlanned), plan
    block = await later.after(plan.block)
    planned = begin(plan, source="/test", time=utc_now())
    seeded = CycleSeeded(cycle=CYCLE, block=block.number, block_hash=block.hash)
    await log.append([draft(planned)])
    stored = await log.last(subjects.plan(CYCLE))
    assert stored is not None
    await log.append([draft(decode(stored).envelope.follow(seeded, source="/test", time=utc_now()))])


def _blocks(moment: datetime) -> ClockBlocks:
    return ClockBlocks("local", GENESIS, clock=lambda: moment)


@asynccontextmanager
async def log_of(home: Path) -> AsyncIterator[JetStreamLog]:
    """The log of a home whose NATS server is up."""
    connection: Connection
    async with await connect(EmbeddedNats(home).url, "test", timeout_s=60) as connection:
        yield JetStreamLog(connection)


async def some_outcomes(log: EventLog, count: int = 3) -> None:
    """Returns once this many episodes of the cycle have ended."""
    seen = 0
    async with aclosing(log.follow(subject=subjects.OUTCOMES)) as batches:
        async for batch in batches:
            if (seen := seen + len(batch)) >= count:
                return


async def all_slots_taken(log: JetStreamLog, slots: int) -> None:
    """Returns once the workers have this many episodes, and so as many each as they can take."""

    async def taken() -> bool:
        info = await log._connection.api(f"CONSUMER.INFO.{TASKS}.{WORKERS}")
        return int(info["num_ack_pending"]) == slots

    await eventually(taken, CYCLE_S)


async def scored(log: EventLog, cycle: CycleId = CYCLE) -> None:
    """Returns once the cycle has its weights."""
    async with aclosing(log.follow(subject=subjects.weights(cycle))) as batches:
        async for _ in batches:
            return


async def all_events(log: EventLog) -> list[RecordedEvent[Event]]:
    return [decode(stored) async for batch in log.read() for stored in batch]


@dataclass(frozen=True)
class Result:
    """What came out of the cycle, without what depends on time and place."""

    outcomes: dict[EpisodeKey, dict[str, object]]
    weights: bytes
    """Epsilons, standings (tallies, frontier, points, weights) and u16 weights as the event has them.

    Not the event as a whole: its Merkle root covers ids, times, latencies and worker names of the outcomes.
    """
    u16: tuple[int, ...]
    """The u16 weights, by uid."""


async def result_of(log: EventLog) -> Result:
    """The result of a scored cycle; fails unless every planned episode has exactly one outcome."""
    events = [recorded.event for recorded in await all_events(log)]
    (plan,) = (event for event in events if isinstance(event, CyclePlanned))
    ended = [event for event in events if isinstance(event, OUTCOMES)]
    assert Counter(event.key for event in ended) == Counter(_planned(plan))
    (weights,) = (event for event in events if isinstance(event, WeightsComputed))
    return Result(
        outcomes={event.key: _of_outcome(event) for event in ended},
        weights=weights.model_dump_json(include={"epsilons", "standings", "weights_u16"}).encode(),
        u16=tuple(
            dict(zip(weights.weights_u16.uids, weights.weights_u16.values, strict=True)).get(entry.uid, 0)
            for entry in plan.roster
        ),
    )


async def ended_since(log: EventLog, moment: datetime) -> int:
    """How many episodes ended after this moment."""
    return sum(isinstance(it.event, OUTCOMES) and it.time > moment for it in await all_events(log))


async def tried_again(log: EventLog) -> int:
    """How many outcomes came from a later attempt than the first."""
    return sum(isinstance(it.event, EpisodeCompleted) and it.event.attempt > 1 for it in await all_events(log))


def _of_outcome(event: EpisodeCompleted | EpisodeForfeited | EpisodeAbandoned) -> dict[str, object]:
    return {"type": event.type, **event.model_dump(include=EPISODE_RESULT)}


def _planned(plan: CyclePlanned) -> list[EpisodeKey]:
    return [
        EpisodeKey(plan.cycle, entry.uid, env, index)
        for entry in plan.roster
        for env in plan.environments
        for index in range(plan.episodes_per_environment)
    ]
