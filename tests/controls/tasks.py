"""Examples of tasks on the work queue."""

from __future__ import annotations

from events.cycles import EpisodeTerms
from events.ids import CycleId, EnvId, Seed, Uid
from events.tasks import EpisodeTask
from tests.controls import facts


def task(
    cycle: int = 1,
    *,
    uid: int = 0,
    env: str = facts.REACH,
    index: int = 0,
    seed: int = 7,
    endpoint: str = "http://127.0.0.1:9000",
    terms: EpisodeTerms = facts.TERMS,
) -> EpisodeTask:
    return EpisodeTask(
        cycle=CycleId(cycle),
        uid=Uid(uid),
        hotkey=facts.hotkey(uid),
        env=EnvId(env),
        index=index,
        seed=Seed(seed),
        endpoint=endpoint,
        terms=terms,
        cause="id-of-the-seed",
        correlation="id-of-the-plan",
    )
