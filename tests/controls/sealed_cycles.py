"""Whole cycles, appended to a log as the conductor would have done it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from events import subjects
from events.codec import decode, draft
from events.cycles import CyclePlanned, CycleSealed, OutcomeCounts
from events.envelope import Envelope, begin
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeForfeited, EpisodeOutcome
from events.event import Event
from events.ids import EnvId, EpisodeKey
from events.log import EventLog
from events.merkle import MerkleTree
from tests.controls import facts

SOURCE = "/test"


def outcomes_of(plan: CyclePlanned, *, winners: Sequence[int] = (0,)) -> list[EpisodeOutcome]:
    """One for each planned episode: the winners succeed always, the others never."""
    return [
        facts.completed(EpisodeKey(plan.cycle, entry.uid, env, index), success=entry.uid in winners)
        for index in range(plan.episodes_per_environment)
        for env in plan.environments
        for entry in plan.roster
    ]


def outcomes_where(plan: CyclePlanned, wins: Mapping[int, EnvId]) -> list[EpisodeOutcome]:
    """One for each planned episode: each of these succeeds on its one environment, always, and nobody else does."""
    return [facts.completed(it.key, success=wins.get(it.uid) == it.env) for it in outcomes_of(plan)]


async def append_sealed(
    log: EventLog, plan: CyclePlanned, outcomes: Sequence[EpisodeOutcome], *, extra: Sequence[Event] = ()
) -> CycleSealed:
    """Appends the plan, its seed, `extra`, the outcomes and their seal, which is returned."""
    seal = await seal_of(log, await append_unsealed(log, plan, [*extra, *outcomes]))
    await log.append([draft(begin(seal, source=SOURCE))])
    return seal


async def append_unsealed(log: EventLog, plan: CyclePlanned, events: Sequence[Event]) -> CyclePlanned:
    """Appends the plan, its seed and the events."""
    envelope: Envelope[Event] = begin(plan, source=SOURCE)
    await log.append([draft(envelope)])
    for event in (facts.seeded(plan.cycle), *events):
        await log.append([draft(envelope.follow(event, source=SOURCE))])
    return plan


async def seal_of(log: EventLog, plan: CyclePlanned) -> CycleSealed:
    """The true seal over what the log holds of a cycle."""
    leaves = [stored async for batch in log.read(subject=subjects.cycle(plan.cycle)) for stored in batch]
    tree = MerkleTree()
    for stored in leaves:
        tree.add(stored.body)
    kinds = Counter(type(decode(stored).event) for stored in leaves)
    return CycleSealed(
        cycle=plan.cycle,
        outcomes=OutcomeCounts(
            completed=kinds[EpisodeCompleted],
            forfeited=kinds[EpisodeForfeited],
            abandoned=kinds[EpisodeAbandoned],
        ),
        first_sequence=leaves[0].sequence,
        last_sequence=leaves[-1].sequence,
        tree_size=tree.size,
        merkle_root=tree.root().hex(),
        secret=facts.SECRET.hex(),
    )
