"""Whole cycles, as large as wanted, with every kind of outcome."""

from __future__ import annotations

from collections.abc import Iterator

from events.episodes import EpisodeAttemptFailed, EpisodeOutcome
from events.event import Event
from events.ids import CycleId, EnvId, EpisodeKey
from tests.controls import facts


def large_cycle(number: int = 1, *, miners: int = 8, environments: int = 4, episodes: int = 10) -> list[Event]:
    """Miners with an even uid succeed; some episodes are forfeited, some abandoned after failed attempts."""
    envs = tuple(EnvId(f"metaworld/task-{index}-v3") for index in range(environments))
    plan = facts.planned(number, uids=tuple(range(miners)), environments=envs, episodes=episodes, block=100 * number)
    keys = (
        EpisodeKey(CycleId(number), entry.uid, env, index)
        for index in range(episodes)
        for env in envs
        for entry in plan.roster
    )
    outcomes = [event for place, key in enumerate(keys) for event in _episode(place, key)]
    weights = facts.weights_computed(number).model_copy(update={"block": plan.block})
    return [plan, facts.seeded(number), *outcomes, facts.sealed(number), weights]


def _episode(place: int, key: EpisodeKey) -> Iterator[EpisodeOutcome | EpisodeAttemptFailed]:
    if place % 40 == 39:
        yield facts.attempt_failed(key)
    if place % 20 == 19:
        yield facts.forfeited(key)
    elif place % 50 == 49:
        yield facts.abandoned(key)
    else:
        yield facts.completed(key, success=key.uid % 2 == 0)
