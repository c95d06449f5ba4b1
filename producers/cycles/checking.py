"""Puts the checks of a cycle on the work queue, in the order in which they are to be made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping

from events.cycles import CyclePlanned, CycleSeeded
from events.draws import PROBES_PER_SAMPLE, Candidate, Probe, comparison_seed, probes, witnesses
from events.envelope import Clock, RecordedEvent
from events.ids import Uid
from events.queue import QueueFull, TaskQueue
from events.seeds import SeedMaterial
from events.tasks import CheckTask, ProbeTask
from events.verification import VerificationTerms
from producers.cycles.dispatch import FULL_WAIT_S
from producers.cycles.recordings import Recordings
from producers.cycles.state import CycleState

WITHIN_MIN_S = 1.0
"""A check that is queued at the last moment gets so long."""


class CheckTasks:
    """The tasks of a cycle's checks. Pure, but for what was read of its recordings."""

    def __init__(
        self,
        plan: RecordedEvent[CyclePlanned],
        seeded: RecordedEvent[CycleSeeded],
        material: SeedMaterial,
        endpoints: Mapping[Uid, str],
    ) -> None:
        """`endpoints`: base URL of each miner's policy server, opened where it was sealed."""
        self._plan = plan
        self._seeded = seeded
        self._material = material
        self._endpoints = endpoints
        self._commitments = {entry.uid: entry.commitment for entry in plan.event.roster}

    def probes(self, candidate: Candidate, recordings: Recordings) -> tuple[ProbeTask, ...]:
        """With what this miner is checked. It takes about a second where 100,000 episodes were recorded."""
        chosen = probes(self._material, candidate, recordings, PROBES_PER_SAMPLE * self._terms.samples)
        return tuple(self._probe(each, recordings) for each in chosen)

    def in_order(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """By chance, the suspended last: they have no weight to lose, and may waste the time of those that have."""
        suspended = {each.uid for each in self._terms.suspended}
        return sorted(candidates, key=lambda it: (it.uid in suspended, comparison_seed(self._material, it)))

    def task(self, candidate: Candidate, probes: tuple[ProbeTask, ...], within_s: float) -> CheckTask:
        """What a verifier needs to check this miner."""
        commitment = self._commitments[candidate.uid]
        return CheckTask(
            cycle=self._plan.event.cycle,
            uid=candidate.uid,
            hotkey=candidate.hotkey,
            endpoint=self._endpoints[candidate.uid],
            witnesses=tuple(self._endpoints[uid] for uid in witnesses(self._material, candidate, self._endpoints)),
            repo=commitment.repo,
            revision=commitment.revision,
            environments=self._plan.event.environments,
            probes=probes,
            samples=self._terms.samples,
            tolerance=self._terms.tolerance,
            measure=self._terms.measure,
            seed=comparison_seed(self._material, candidate),
            terms=self._plan.event.terms,
            within_s=within_s,
            cause=self._seeded.id,
            correlation=self._plan.envelope.correlation,
        )

    @property
    def _terms(self) -> VerificationTerms:
        terms = self._plan.event.verification
        assert terms is not None, "a cycle without terms checks nobody"
        return terms

    def _probe(self, probe: Probe, recordings: Recordings) -> ProbeTask:
        it, attempt = probe.recording, recordings[probe.recording]
        return ProbeTask(
            uid=it.uid,
            env=it.env,
            index=it.index,
            seed=self._material.seed(it.env, it.index),
            attempt=attempt.number,
            action_digest=attempt.action_digest.hex(),
            step=probe.step,
            versions=dict(attempt.ran_on.versions),
            machine=attempt.ran_on.machine,
        )


class CheckDispatch:
    """One pass over the miners to be checked that have no outcome, one at a time; `restart` begins another."""

    def __init__(
        self, state: CycleState, tasks: CheckTasks, recordings: Recordings, queue: TaskQueue, clock: Clock
    ) -> None:
        self._state = state
        self._tasks = tasks
        self._recordings: Recordings | None = recordings
        """None when all probes are chosen: they are many."""
        self._probes: dict[Uid, tuple[ProbeTask, ...]] = {}
        self._queue = queue
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        self.finished = False
        """Whether each of them was offered to the queue in this pass."""
        self._ahead: Iterator[Candidate] = iter(self._tasks.in_order(self._state.checks.missing()))
        self._next: Candidate | None = None
        self._full_until = 0.0
        """When a queue that was full is tried again, on the monotonic clock."""

    @property
    def ready(self) -> bool:
        """Whether there is more to put now."""
        return not self.finished and time.monotonic() >= self._full_until

    async def put_chunk(self) -> int:
        """Puts the next task, if it is time, and returns 1 if the queue did not hold it.

        Raises:
            QueueUnavailable: no answer in time; the same task comes again.
        """
        if not self.ready:
            return 0
        self._next = self._next or self._next_missing()
        if self._next is None:
            self.finished, self._recordings = True, None
            return 0
        task = self._tasks.task(self._next, await self._probes_of(self._next), self._left_s())
        try:
            queued = await self._queue.put([task])
        except QueueFull:
            self._full_until = time.monotonic() + FULL_WAIT_S
            return 0
        self._next = None
        return queued

    def _next_missing(self) -> Candidate | None:
        return next((each for each in self._ahead if each.uid not in self._state.checks.results), None)

    async def _probes_of(self, candidate: Candidate) -> tuple[ProbeTask, ...]:
        if candidate.uid not in self._probes:
            assert self._recordings is not None, f"uid {candidate.uid} came to the checks after they had begun"
            self._probes[candidate.uid] = await asyncio.to_thread(self._tasks.probes, candidate, self._recordings)
        return self._probes[candidate.uid]

    def _left_s(self) -> float:
        return max((self._state.checks.ends_at - self._clock()).total_seconds(), WITHIN_MIN_S)
