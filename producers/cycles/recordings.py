"""What was recorded in a cycle: the episodes with which its checks are made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from events import subjects
from events.codec import decode
from events.cycles import CyclePlanned
from events.draws import Recording
from events.episodes import EpisodeCompleted, Evidence
from events.log import EventLog, Stored


class RanOn(NamedTuple):
    """Where episodes were run; the same object for all of them."""

    versions: Mapping[str, str]
    machine: str


class Attempt(NamedTuple):
    """Which of an episode's recordings is that of its outcome."""

    number: int
    action_digest: bytes
    """32 bytes."""
    ran_on: RanOn


Recordings = dict[Recording, Attempt]


async def read_recordings(log: EventLog, plan: CyclePlanned) -> Recordings:
    """All planned episodes that were completed in one step or more, whoever's they are.

    Of a cycle whose episodes have all ended; read once more, because few cycles need them and they are many.

    Raises:
        LogUnavailable: no answer in time.
        CodecError: an outcome cannot be read.
    """
    found: Recordings = {}
    take = _Taking(plan, found)
    async for batch in log.read(subject=subjects.outcomes(plan.cycle)):
        await asyncio.to_thread(take, batch)
    return found


class _Taking:
    def __init__(self, plan: CyclePlanned, into: Recordings) -> None:
        self._into = into
        self._uids = {entry.uid for entry in plan.roster}
        self._environments = {env: env for env in plan.environments}
        """Of each name only one copy is kept."""
        self._episodes = plan.episodes_per_environment
        self._ran_on: dict[tuple[str, frozenset[tuple[str, str]]], RanOn] = {}

    def __call__(self, batch: list[Stored]) -> None:
        for stored in batch:
            event = decode(stored).event
            if isinstance(event, EpisodeCompleted):
                self._take(event)

    def _take(self, event: EpisodeCompleted) -> None:
        env = self._environments.get(event.env)
        planned = env is not None and event.uid in self._uids and event.index < self._episodes
        if env is not None and planned and event.steps > 0:
            recording = Recording(env, event.index, event.uid, event.steps)
            digest = bytes.fromhex(event.evidence.action_digest)
            self._into[recording] = Attempt(event.attempt, digest, self._place(event.evidence))

    def _place(self, evidence: Evidence) -> RanOn:
        key = (evidence.machine, frozenset(evidence.versions.items()))
        return self._ran_on.setdefault(key, RanOn(evidence.versions, evidence.machine))
