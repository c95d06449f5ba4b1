"""From a task to a finding: the sandbox, the committed files, the recordings, and the check itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from consumers.simulation.network import OwnNetwork
from consumers.simulation.outcomes import SETUP_ALLOWANCE_S, STEP_ALLOWANCE_S
from consumers.simulation.thread import STUCK_S, is_stuck
from consumers.verification.check import check
from consumers.verification.evaluation import evaluation_of
from consumers.verification.limits import ENDPOINT_RETRY_S
from consumers.verification.probes import Probed, Sampled
from consumers.verification.repository import Repositories, RepositorySnapshot
from consumers.verification.sandbox.protocol import NoSandbox, Sandbox
from consumers.verification.served import Endpoint
from consumers.verification.terms import CheckTerms
from consumers.verification.trouble import HubTrouble, RepositoryRefused
from consumers.verification.verdict import Failed, Finding, Inconclusive
from consumers.verification.weights import weight_files
from events.ids import EpisodeKey
from events.tasks import CheckTask, ProbeTask
from events.traces import TraceStore
from events.verification import Committed, FailureReason, InconclusiveReason
from sim.episode import EpisodeSpec
from sim.errors import InvalidTrace, SimError, SimulationFailed
from sim.playing import play
from sim.record import decode_record
from sim.stage import SimulationThread
from sim.trace import action_digest

Choose = Callable[[], Awaitable[Sandbox | NoSandbox]]


@dataclass
class Checked:
    """What is known of a check; more and more while it runs."""

    finding: Finding | None = None
    committed: Committed | None = None
    sandbox: str | None = None
    """Its name, once the committed code was run in it."""


class Checker:
    """One per verifier process; may check several miners at a time."""

    def __init__(
        self,
        *,
        choose: Choose,
        repositories: Repositories,
        traces: TraceStore,
        stage: SimulationThread,
        allow_private_endpoints: bool,
        endpoint_retry_s: float = ENDPOINT_RETRY_S,
        stuck_s: float = STUCK_S,
    ) -> None:
        """`allow_private_endpoints`: whether policies may live at private and loopback addresses."""
        self._choose = choose
        self._repositories = repositories
        self._traces = traces
        self._stage = stage
        self._allow_private = allow_private_endpoints
        self._endpoint_retry_s = endpoint_retry_s
        self._stuck_s = stuck_s
        self._own_network = OwnNetwork(allow_private=allow_private_endpoints)
        self.stuck = asyncio.Event()
        """Set when the simulation thread no longer answers: only another process can go on."""

    async def check(self, task: CheckTask, so_far: Checked) -> None:
        """Fills in what is found, also where it is broken off. Within the task's time.

        Raises:
            TracesUnavailable: the server of the recordings is away.
        """
        try:
            async with asyncio.timeout(task.within_s) as clock:
                so_far.finding = await self._finding(task, so_far)
        except TimeoutError:
            if not clock.expired():
                raise
            detail = f"the check did not end within {task.within_s:g} s"
            so_far.finding = Inconclusive(InconclusiveReason.TOO_LATE, detail)
        except SimError as error:
            detail = f"{type(error).__name__}: {error}"
            so_far.finding = Inconclusive(InconclusiveReason.SIMULATOR_ERROR, detail)

    async def _finding(self, task: CheckTask, so_far: Checked) -> Finding:
        ends_s = time.monotonic() + task.within_s
        sandbox = await self._choose()
        if isinstance(sandbox, NoSandbox):
            return Inconclusive(InconclusiveReason.NO_SANDBOX, sandbox.reason)
        try:
            async with self._repositories.snapshot(task.repo, task.revision) as snapshot:
                so_far.committed = Committed(commit=snapshot.commit, files=weight_files(snapshot.files))
                probes = await self._probes(task)
                if not probes:
                    return Inconclusive(InconclusiveReason.NO_RECORDINGS, _no_recordings(task))
                so_far.sandbox = sandbox.name
                return await self._checked(task, sandbox, snapshot, probes, ends_s - time.monotonic())
        except RepositoryRefused as refused:
            return Failed(FailureReason.REPOSITORY_REFUSED, str(refused))
        except HubTrouble as trouble:
            return Inconclusive(InconclusiveReason.HUB_TROUBLE, str(trouble))

    async def _checked(
        self, task: CheckTask, sandbox: Sandbox, snapshot: RepositorySnapshot, probes: list[Probed], left_s: float
    ) -> Finding:
        endpoint = Endpoint(
            task.endpoint,
            own_network=self._own_network,
            allow_private=self._allow_private,
            witnesses=task.witnesses,
            retry_s=self._endpoint_retry_s,
        )
        terms = CheckTerms(
            tolerance=task.tolerance,
            measure=task.measure,
            seed=task.seed,
            act_deadline_ms=task.terms.act_deadline_ms,
            reset_deadline_ms=task.terms.reset_deadline_ms,
            within_s=max(left_s, 1.0),
            environments=task.environments,
        )
        return await check(sandbox, snapshot.path, endpoint, probes, terms)

    async def _probes(self, task: CheckTask) -> list[Probed]:
        """The first samples whose recordings are still kept, each played to its step."""
        probes: list[Probed] = []
        for probe in task.probes:
            if len(probes) == task.samples:
                break
            key = EpisodeKey(task.cycle, probe.uid, probe.env, probe.index)
            recording = await self._traces.fetch(key, probe.attempt, probe.action_digest)
            if recording is not None:
                probes.append(await self._played(task, probe, recording))
        return probes

    async def _played(self, task: CheckTask, probe: ProbeTask, recording: bytes) -> Probed:
        record = decode_record(recording)
        actions = record.actions
        if action_digest(actions) != probe.action_digest:
            raise InvalidTrace(
                f"the recording of {probe.env} #{probe.index} of uid {probe.uid}: expected actions of digest"
                f" {probe.action_digest}, got {action_digest(actions)}"
            )
        spec = EpisodeSpec(
            env=probe.env,
            seed=probe.seed,
            index=probe.index,
            profile=task.terms.observation_profile,
            max_steps=task.terms.steps_max,
            variation=task.terms.variation,
        )
        limit_s = SETUP_ALLOWANCE_S + STEP_ALLOWANCE_S * (1 + probe.step)
        try:
            async with asyncio.timeout(limit_s) as clock:
                played = await play(spec, actions, probe.step, self._stage)
        except TimeoutError as error:
            if not clock.expired():
                raise
            if await is_stuck(self._stage, self._stuck_s):
                self.stuck.set()
            raise SimulationFailed(
                f"{probe.env} #{probe.index} was not played to step {probe.step} within {limit_s:.0f} s: this machine"
                " is overloaded, or the simulation hangs"
            ) from error
        sample = Sampled(probe.uid, probe.env, probe.index, probe.step)
        evaluation = evaluation_of(task, probe, record, played) if probe.uid == task.uid else None
        return Probed(sample, played.observations, played.action_spec, evaluation)


def _no_recordings(task: CheckTask) -> str:
    return (
        f"none of the {len(task.probes)} episodes that were drawn is recorded any more: keep recordings for longer"
        " than a cycle takes (--trace-age-hours, --trace-bytes-max of the executor)"
    )
