"""One episode, start to end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Protocol

from events.variation import NO_VARIATION, VariationRanges
from sim.policy import Doubt, PolicyFailed, TaskConfig
from sim.trace import NO_TRACK, PhysicsOutcome, Recording, Track, encode_trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from events.ids import EnvId, Seed
    from sim.environment import Environment, StepResult
    from sim.policy import Decision, Policy, PolicyFailure
    from sim.stage import SimulationThread


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeSpec:
    """Everything that decides how an episode runs, apart from the policy."""

    env: EnvId
    seed: Seed
    """Decides the whole episode; never sent to the policy."""
    index: int
    """The episode's number on this environment, the policy's `task_id`."""
    profile: str
    """The name of an observation profile, such as `rgb84/1`."""
    max_steps: int = 500
    variation: VariationRanges = NO_VARIATION
    act_deadline_ms: float = 100.0
    reset_deadline_ms: float = 5000.0


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """How long the policy took for its actions, in milliseconds. Zero when it was never asked."""

    count: int
    p50_ms: float
    max_ms: float

    @classmethod
    def of(cls, latencies_ms: Sequence[float]) -> LatencySummary:
        if not latencies_ms:
            return cls(0, 0.0, 0.0)
        return cls(len(latencies_ms), round(median(latencies_ms), 3), round(max(latencies_ms), 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeResult:
    """The episode ran to its end."""

    physics: PhysicsOutcome
    act_latency: LatencySummary
    wall_s: float
    trace: bytes
    """`sim.trace.encode_trace` of the native actions."""
    track: Track = NO_TRACK


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeForfeit:
    """The policy failed before the episode's end; what had happened until then is in the other fields."""

    code: PolicyFailure
    detail: str
    """For the miner, at most 500 printable characters."""
    doubt: Doubt = Doubt.NONE
    """Whether it could as well have been our network."""
    physics: PhysicsOutcome
    act_latency: LatencySummary
    wall_s: float
    trace: bytes
    track: Track = NO_TRACK


class Watch(Protocol):
    """Looks on while an episode runs, and changes nothing about it.

    It is called between two calls of the policy, so what it takes is taken from all episodes of the process: it
    returns at once, and raises nothing.
    """

    def was_reset(self) -> None:
        """The policy has accepted the episode."""
        ...

    def stepped(self, decision: Decision, result: StepResult) -> None:
        """One step was taken, as the policy decided."""
        ...


async def run_episode(
    spec: EpisodeSpec, policy: Policy, stage: SimulationThread, watch: Watch | None = None
) -> EpisodeResult | EpisodeForfeit:
    """Run one episode of the policy. The policy is neither created nor closed here.

    Physics and drawing happen on the stage's thread, so that other episodes of the process go on meanwhile,
    and the policy's latency is measured by an event loop that is never blocked by them.

    Raises:
        UnknownEnvironment, UnknownProfile, GraphicsUnavailable: the spec cannot be run here.
        SimulationFailed: we failed, not the policy.
    """
    started_s = time.monotonic()
    latencies_ms: list[float] = []
    failure: PolicyFailed | None = None
    async with stage.environment(
        spec.env, spec.profile, max_steps=spec.max_steps, variation=spec.variation
    ) as environment:
        recording = Recording(environment)
        try:
            await _rollout(spec, policy, stage, environment, recording, latencies_ms, watch)
        except PolicyFailed as failed:
            failure = failed
        physics = await stage.run(recording.outcome)
    act_latency = LatencySummary.of(latencies_ms)
    wall_s = time.monotonic() - started_s
    trace, track = encode_trace(recording.actions), recording.track()
    if failure is None:
        return EpisodeResult(physics=physics, act_latency=act_latency, wall_s=wall_s, trace=trace, track=track)
    return EpisodeForfeit(
        code=failure.code,
        detail=failure.detail,
        doubt=failure.doubt,
        physics=physics,
        act_latency=act_latency,
        wall_s=wall_s,
        trace=trace,
        track=track,
    )


async def _rollout(
    spec: EpisodeSpec,
    policy: Policy,
    stage: SimulationThread,
    environment: Environment,
    recording: Recording,
    latencies_ms: list[float],
    watch: Watch | None,
) -> None:
    observation = await stage.run(recording.reset, spec.seed)
    await policy.reset(TaskConfig(spec.env, spec.index), deadline_ms=spec.reset_deadline_ms)
    if watch is not None:
        watch.was_reset()
    while True:
        decision = await policy.act(observation, environment.action_spec, deadline_ms=spec.act_deadline_ms)
        latencies_ms.append(decision.latency_ms)
        result = await stage.run(recording.step, decision.action)
        if watch is not None:
            watch.stepped(decision, result)
        if result.done:
            return
        observation = result.observation
