"""The tasks of a cycle, in the order in which they are queued. Pure: the same in every process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from events.cycles import CyclePlanned, CycleSeeded
from events.envelope import RecordedEvent
from events.ids import EpisodeKey, Uid
from events.sealed import EndpointKey
from events.seeds import SeedMaterial
from events.tasks import EpisodeTask
from producers.discovery.commitments import endpoint_of


def endpoints(plan: CyclePlanned, key: EndpointKey | None) -> dict[Uid, str]:
    """Where the policies of the plan are served; without those that are sealed and that the key does not open.

    What was sealed is a secret: it goes into tasks, and nowhere else.
    """
    found = {entry.uid: endpoint_of(entry.commitment, key) for entry in plan.roster}
    return {uid: endpoint for uid, endpoint in found.items() if endpoint is not None}


class EpisodeTasks:
    """All tasks of a cycle, made when they are asked for.

    All miners run one episode before the next one begins, so that they meet it at about the same time; the order of
    episodes, and of miners within each, is drawn from the seed material.
    """

    def __init__(
        self,
        plan: RecordedEvent[CyclePlanned],
        seeded: RecordedEvent[CycleSeeded],
        secret: bytes,
        endpoints: Mapping[Uid, str],
    ) -> None:
        """`endpoints`: base URL of each miner's policy server, opened where it was sealed."""
        self._endpoints = endpoints
        self._plan = plan
        self._seeded = seeded
        self._material = SeedMaterial(secret, bytes.fromhex(seeded.event.block_hash), plan.event.cycle)
        self._roster = {entry.uid: entry for entry in plan.event.roster}
        self._episodes = sorted(
            ((env, index) for env in plan.event.environments for index in range(plan.event.episodes_per_environment)),
            key=lambda episode: self._material.episode_rank(*episode),
        )

    def keys(self) -> Iterator[EpisodeKey]:
        """Every planned episode of every miner, in order."""
        for env, index in self._episodes:
            for uid in sorted(self._roster, key=lambda uid: self._material.miner_rank(env, index, uid)):
                yield EpisodeKey(self._plan.event.cycle, uid, env, index)

    def task(self, key: EpisodeKey) -> EpisodeTask:
        """What a worker needs to run this episode."""
        return EpisodeTask(
            cycle=key.cycle,
            uid=key.uid,
            hotkey=self._roster[key.uid].hotkey,
            env=key.env,
            index=key.index,
            seed=self._material.seed(key.env, key.index),
            endpoint=self._endpoints[key.uid],
            terms=self._plan.event.terms,
            cause=self._seeded.id,
            correlation=self._plan.envelope.correlation,
        )
