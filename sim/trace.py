"""The recording of an episode, and its re-simulation to the same outcome.

A trace is the native actions that drove the simulator. Together with the environment and the seed it
determines the whole episode, so an outcome needs no other evidence. A track is what the simulator answered on
the way: with it a second run that comes to something else can say from which step on.

Trace bytes, version 1: the 8 bytes `KTRACE1` and a line feed; steps and action size as little-endian uint32;
then the actions in order, each a row of little-endian float32.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.cameras import UNSEEN
from sim.errors import InvalidTrace
from sim.suite import make

if TYPE_CHECKING:
    from collections.abc import Mapping

    from events.ids import Seed
    from sim.environment import Environment, NativeAction, StepResult
    from sim.episode import EpisodeSpec
    from sim.rl_interface import Action, Observation

TRACE_MAGIC = b"KTRACE1\n"
TRACE_HEAD = struct.Struct("<8sII")
LITTLE_FLOAT32 = np.dtype("<f4")

CHECKPOINT_STEPS = 25
"""From one checkpoint of the state to the next. One takes 4 to 30 us, so all of them under 1% of the steps."""
CHECKPOINT_BYTES = 8
"""Of a state's SHA-256: enough to see that two states differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhysicsOutcome:
    """What happened, apart from clocks: the same episode and actions give the same value on any run."""

    success: bool
    """At any step; the episode ends at the first."""
    total_reward: float
    """The float64 sum of the step rewards, added in step order."""
    steps: int
    terminated: bool
    truncated: bool
    variation: Mapping[str, float]
    """What was sampled from the seed, by name."""
    action_digest: str
    """SHA-256 (hex) over the native actions in step order, as little-endian float32, nothing between them."""
    final_state_digest: str
    """`Environment.state_digest()` after the last step."""


@dataclass(frozen=True, slots=True)
class Track:
    """What the simulator answered, step by step; the same for the same actions, as a `PhysicsOutcome` is."""

    rewards: tuple[float, ...] = ()
    """Of each step."""
    checkpoints: tuple[str, ...] = ()
    """The beginning (16 hex digits) of `Environment.state_digest()` after reset and every 25th step."""
    pictures: str = field(default="", compare=False)
    """The beginning (16 hex digits) of the first observation's `pictures_digest`; empty where nobody looked. It tells
    one way of drawing from another, and is no part of the physics."""


NO_TRACK = Track()


class Recording:
    """An environment during one episode, with everything that goes into its outcome."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._actions: list[NativeAction] = []
        self._rewards: list[float] = []
        self._checkpoints: list[str] = []
        self._pictures = ""
        self._total_reward = 0.0
        self._last: StepResult | None = None

    def reset(self, seed: Seed) -> Observation:
        observation = self._environment.reset(seed)
        self._check()
        self._pictures = pictures_digest(observation)[: 2 * CHECKPOINT_BYTES]
        return observation

    def step(self, action: Action) -> StepResult:
        return self.step_native(self._environment.native_action(action))

    def step_native(self, native: NativeAction) -> StepResult:
        result = self._environment.step_native(native)
        self._actions.append(native)
        self._rewards.append(result.reward)
        self._total_reward += result.reward
        self._last = result
        if len(self._actions) % CHECKPOINT_STEPS == 0:
            self._check()
        return result

    def _check(self) -> None:
        self._checkpoints.append(self._environment.state_digest()[: 2 * CHECKPOINT_BYTES])

    @property
    def actions(self) -> NDArray[np.float32]:
        """Shape (steps, action size)."""
        return np.array(self._actions, np.float32) if self._actions else np.empty((0, 0), np.float32)

    def track(self) -> Track:
        return Track(tuple(self._rewards), tuple(self._checkpoints), self._pictures)

    def outcome(self) -> PhysicsOutcome:
        last = self._last
        return PhysicsOutcome(
            success=last is not None and last.success,
            total_reward=self._total_reward,
            steps=len(self._actions),
            terminated=last is not None and last.terminated,
            truncated=last is not None and last.truncated,
            variation=dict(self._environment.variation),
            action_digest=action_digest(self.actions),
            final_state_digest=self._environment.state_digest(),
        )


def action_digest(actions: NDArray[np.float32]) -> str:
    """See `PhysicsOutcome.action_digest`."""
    return hashlib.sha256(actions.astype(LITTLE_FLOAT32, copy=False).tobytes()).hexdigest()


def pictures_digest(observation: Observation) -> str:
    """SHA-256 (hex) over the pixels of all cameras, by their names; empty without cameras."""
    digest = hashlib.sha256()
    for camera in sorted(observation.rgb):
        digest.update(observation.rgb[camera].tobytes())
    return digest.hexdigest() if observation.rgb else ""


def encode_trace(actions: NDArray[np.float32]) -> bytes:
    """Native actions, shape (steps, action size), as trace bytes."""
    steps, size = actions.shape
    return TRACE_HEAD.pack(TRACE_MAGIC, steps, size) + actions.astype(LITTLE_FLOAT32, copy=False).tobytes()


def decode_trace(trace: bytes) -> NDArray[np.float32]:
    """The inverse of `encode_trace`.

    Raises:
        InvalidTrace: not a trace of version 1, or cut off.
    """
    if len(trace) < TRACE_HEAD.size or not trace.startswith(TRACE_MAGIC):
        raise InvalidTrace(f"not a trace: expected it to begin with {TRACE_MAGIC!r}, got {trace[:8]!r}")
    _, steps, size = TRACE_HEAD.unpack_from(trace)
    expected = TRACE_HEAD.size + steps * size * LITTLE_FLOAT32.itemsize
    if len(trace) != expected:
        raise InvalidTrace(f"a trace of {steps} actions of {size} has {expected} bytes, got {len(trace)}")
    return np.frombuffer(trace, LITTLE_FLOAT32, offset=TRACE_HEAD.size).astype(np.float32).reshape(steps, size)


def resimulate(spec: EpisodeSpec, actions: NDArray[np.float32]) -> PhysicsOutcome:
    """Run the episode again from its recorded actions, on the calling thread, in a fresh environment.

    Equal to the outcome that was recorded, if that was true: the policy is not asked, nothing is drawn.
    Actions after the end of the episode are left out, so that the digest shows that they did not belong to
    it.

    Raises:
        UnknownEnvironment, InvalidAction: the spec or the actions cannot be run at all.
    """
    return retrace(spec, actions)[0]


def retrace(spec: EpisodeSpec, actions: NDArray[np.float32]) -> tuple[PhysicsOutcome, Track]:
    """As `resimulate`, with the track beside the outcome."""
    environment = make(spec.env, UNSEEN, max_steps=spec.max_steps, variation=spec.variation)
    try:
        recording = Recording(environment)
        recording.reset(spec.seed)
        for native in actions:
            if recording.step_native(native).done:
                break
        return recording.outcome(), recording.track()
    finally:
        environment.close()
