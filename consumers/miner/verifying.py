"""Trying a policy server as an evaluation does: same client, same environment, same deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np

from consumers.miner.checks import (
    Check,
    Report,
    Timing,
    Verdict,
    failed,
    failed_by,
    passed,
    timing_check,
    warned,
)
from events.bars import Tell, silent
from events.ids import EnvId, Seed
from events.variation import STANDARD
from sim.encodings import Encoding, advertised
from sim.episode import EpisodeForfeit, EpisodeSpec, run_episode
from sim.http.policy import HttpPolicy
from sim.policy import Decision, PolicyFailed, TaskConfig
from sim.rl_interface import Observation
from sim.spec import ActionSpec
from sim.stage import SimulationThread

AT_ONCE = 4
"""How many episodes speak to the server at the same time; a worker of an evaluation runs 8."""
AT_ONCE_ACTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Who is tried, at what, and how long they have."""

    endpoint: str
    env: EnvId
    episodes: int
    profile: str
    steps_max: int
    act_deadline_ms: float
    reset_deadline_ms: float
    allow_private: bool


@dataclass
class _Timed:
    """An `HttpPolicy` that remembers how long its answers took, and how many connections they needed."""

    policy: HttpPolicy
    reset_ms: list[float] = field(default_factory=list)
    act_ms: list[float] = field(default_factory=list)

    async def reset(self, task: TaskConfig, *, deadline_ms: float) -> None:
        await self.policy.reset(task, deadline_ms=deadline_ms)
        self.reset_ms.append(self.policy.latency_ms)

    async def act(self, observation: Observation, spec: ActionSpec, *, deadline_ms: float) -> Decision:
        decision = await self.policy.act(observation, spec, deadline_ms=deadline_ms)
        self.act_ms.append(decision.latency_ms)
        return decision

    async def close(self) -> None:
        await self.policy.close()


class Verification:
    """One trial. Make one per trial, inside the running event loop."""

    def __init__(self, trial: Trial, stage: SimulationThread, tell: Tell = silent) -> None:
        self._trial, self._tell = trial, tell
        self._stage = stage
        self._reset_ms: list[float] = []
        self._act_ms: list[float] = []

    async def report(self) -> Report:
        """Every check. The first calls are made alone: if they fail, nothing else is tried.

        Raises:
            SimError: the environment cannot be had here.
        """
        observation, spec = await self._first_observation()
        checks = await self._first_calls(observation, spec)
        if all(check.verdict is not Verdict.FAILED for check in checks):
            done, parts = 1, 5 + self._trial.episodes
            self._tell(done, parts)
            async for found in self._further(observation, spec):
                checks += found
                done += 1
                self._tell(done, parts)
        reset = Timing.of(self._reset_ms, self._trial.reset_deadline_ms)
        act = Timing.of(self._act_ms, self._trial.act_deadline_ms)
        if reset is not None:
            checks.append(timing_check("time for /reset", reset))
        if act is not None:
            checks.append(timing_check("time for /act", act))
        return Report(tuple(checks), reset, act)

    async def _further(self, observation: Observation, spec: ActionSpec) -> AsyncIterator[list[Check]]:
        yield [await self._health()]
        yield [await self._repeated(observation, spec)]
        yield await self._encodings(observation, spec)
        yield [await self._at_once(observation, spec)]
        for index in range(self._trial.episodes):
            yield await self._episode(index)

    def _policy(self, *, speak: Encoding | None = None, on_connected: Callable[[], None] | None = None) -> HttpPolicy:
        return HttpPolicy(
            self._trial.endpoint,
            allow_private_addresses=self._trial.allow_private,
            speak=speak,
            on_connected=on_connected,
        )

    async def _first_observation(self) -> tuple[Observation, ActionSpec]:
        trial = self._trial
        borrowed = self._stage.environment(trial.env, trial.profile, max_steps=trial.steps_max, variation=STANDARD)
        async with borrowed as environment:
            return await self._stage.run(environment.reset, Seed(0)), environment.action_spec

    async def _health(self) -> Check:
        try:
            async with self._policy() as policy:
                wanted = advertised(await policy.health())
        except PolicyFailed as error:
            detail = error.detail.replace("POST /", "GET /")
            return warned("health", f"{detail}; evaluations do without", "answer GET /health with status 200")
        return passed("health", f"GET /health answers, and asks for {wanted}" if wanted else "GET /health answers")

    async def _first_calls(self, observation: Observation, spec: ActionSpec) -> list[Check]:
        checks: list[Check] = []
        async with self._policy() as policy:
            try:
                await self._begin(policy)
                checks.append(passed("reset", f"POST /reset answers in {policy.latency_ms:.1f} ms"))
                decision = await self._act(policy, observation, spec)
            except PolicyFailed as error:
                return [*checks, failed_by("act" if checks else "reset", error)]
        return [*checks, _answered(observation, decision, spec)]

    async def _repeated(self, observation: Observation, spec: ActionSpec) -> Check:
        async def twice() -> Check:
            async with self._policy() as policy:
                await self._begin(policy)
                first = await self._act(policy, observation, spec)
                await self._begin(policy)
                second = await self._act(policy, observation, spec)
            if _same(first, second, spec):
                return passed("repeatable", "the same observation after the same reset gets the same action")
            return warned(
                "repeatable",
                "the same observation after the same reset gets another action",
                "seed whatever is drawn by the task_config of /reset: then anybody can check that the policy served"
                " is the one committed",
            )

        return await _unless_failed("repeatable", twice())

    async def _encodings(self, observation: Observation, spec: ActionSpec) -> list[Check]:
        if not observation.rgb:
            return [passed("encoding", "json, as always where there are no images")]
        async with self._policy() as policy:
            try:
                await self._begin(policy)
                await self._act(policy, observation, spec)
            except PolicyFailed as error:
                return [failed_by("encoding", error)]
            wanted = policy.encoding
        if wanted is not Encoding.MSGPACK:
            return [
                passed("json", "images are sent as base64; who asks for msgpack gets raw bytes, which is quicker")
            ]
        json = await self._spoken(Encoding.JSON, observation, spec)
        if json.verdict is Verdict.FAILED:
            json = warned(
                "json", f"{json.code}: {json.detail}", "understand JSON too, for whoever speaks nothing else"
            )
        return [await self._spoken(Encoding.MSGPACK, observation, spec), json]

    async def _spoken(self, encoding: Encoding, observation: Observation, spec: ActionSpec) -> Check:
        async def speak() -> Check:
            async with self._policy(speak=encoding) as policy:
                await self._begin(policy)
                decision = await self._act(policy, observation, spec)
            return passed(encoding, f"understood in {decision.latency_ms:.1f} ms")

        return await _unless_failed(encoding, speak())

    async def _at_once(self, observation: Observation, spec: ActionSpec) -> Check:
        async def one(index: int) -> float:
            async with self._policy() as policy:
                await self._begin(policy, index)
                decisions = [await self._act(policy, observation, spec) for _ in range(AT_ONCE_ACTS)]
            return max(decision.latency_ms for decision in decisions)

        outcomes = await asyncio.gather(*(one(index) for index in range(AT_ONCE)), return_exceptions=True)
        slowest_ms = 0.0
        for outcome in outcomes:
            if isinstance(outcome, PolicyFailed):
                return failed_by("several at once", outcome)
            if isinstance(outcome, BaseException):
                raise outcome
            slowest_ms = max(slowest_ms, outcome)
        return passed("several at once", f"{AT_ONCE} episodes together; the slowest act took {slowest_ms:.1f} ms")

    async def _episode(self, index: int) -> list[Check]:
        trial, name, connections = self._trial, f"episode {index + 1}", 0

        def connected() -> None:
            nonlocal connections
            connections += 1

        async with self._policy(on_connected=connected) as policy:
            timed = _Timed(policy)
            result = await run_episode(_spec(trial, index), timed, self._stage)
        self._reset_ms += timed.reset_ms
        self._act_ms += timed.act_ms
        if isinstance(result, EpisodeForfeit):
            return [failed(name, result.code, f"forfeited at step {len(timed.act_ms)}: {result.detail}")]
        success = "success" if result.physics.success else "no success"
        return [
            passed(name, f"{trial.env}: {success} after {len(timed.act_ms)} steps"),
            _kept_alive(connections, len(timed.act_ms) + 1),
        ]

    async def _begin(self, policy: HttpPolicy, index: int = 0) -> None:
        await policy.reset(TaskConfig(self._trial.env, index), deadline_ms=self._trial.reset_deadline_ms)

    async def _act(self, policy: HttpPolicy, observation: Observation, spec: ActionSpec) -> Decision:
        return await policy.act(observation, spec, deadline_ms=self._trial.act_deadline_ms)


def _spec(trial: Trial, index: int) -> EpisodeSpec:
    return EpisodeSpec(
        env=trial.env,
        seed=Seed(index),
        index=index,
        profile=trial.profile,
        max_steps=trial.steps_max,
        variation=STANDARD,
        act_deadline_ms=trial.act_deadline_ms,
        reset_deadline_ms=trial.reset_deadline_ms,
    )


async def _unless_failed(name: str, check: Awaitable[Check]) -> Check:
    try:
        return await check
    except PolicyFailed as error:
        return failed_by(name, error)


def _answered(observation: Observation, decision: Decision, spec: ActionSpec) -> Check:
    sent = [f"{camera} {_shape(image)}" for camera, image in observation.rgb.items()]
    sent += [f"{name} {_shape(values)}" for name, values in observation.proprio.items()]
    received = [f"{name} {_shape(values)}" for name, values in decision.action.channels.items()]
    detail = f"sent {', '.join(sent)}; received {', '.join(received) or 'no channels'}"
    missing = sorted(set(spec.channels) - set(decision.action.channels))
    if missing:
        return warned("act", f"{detail}; zeros are taken for {', '.join(missing)}", "answer all channels")
    return passed("act", f"{detail}, all finite")


def _shape(values: np.ndarray) -> str:
    return f"{'x'.join(str(size) for size in values.shape)} {values.dtype}"


def _same(first: Decision, second: Decision, spec: ActionSpec) -> bool:
    channels = spec.channels.values()
    return all(np.array_equal(first.action.channel(it), second.action.channel(it)) for it in channels)


def _kept_alive(connections: int, calls: int) -> Check:
    if connections <= 1:
        return passed("keep-alive", f"one connection for {calls} calls")
    return warned(
        "keep-alive",
        f"{connections} connections for {calls} calls",
        "keep HTTP/1.1 connections alive: connecting anew, with TLS, slows every step",
    )
