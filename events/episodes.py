"""Facts about episodes. Each planned episode gets exactly one outcome, for ever.

| event                  | meaning                                          | score            |
|------------------------|--------------------------------------------------|------------------|
| `EpisodeCompleted`     | it ran to its end                                | success or not   |
| `EpisodeForfeited`     | the policy failed                                | not a success    |
| `EpisodeAbandoned`     | we failed, on the last attempt or at the deadline | not counted      |
| `EpisodeAttemptFailed` | we failed, it will be tried again (no outcome)   | none             |
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from events.event import Event, Hex256, HotkeyField, Text, UidField, Value
from events.ids import CycleId, EnvId, EpisodeKey


class ForfeitCode(StrEnum):
    """What the policy did wrong. The list is closed: miners and dashboards rely on it."""

    UNREACHABLE = "unreachable"
    """No connection, or it broke off."""
    ADDRESS_REFUSED = "address_refused"
    """The endpoint resolves to an address that the operator does not allow (private, loopback, link-local)."""
    DEADLINE_MISSED = "deadline_missed"
    HTTP_ERROR = "http_error"
    """An answer with a status other than 200."""
    REDIRECT_REFUSED = "redirect_refused"
    BODY_TOO_LARGE = "body_too_large"
    MALFORMED = "malformed"
    """Not the JSON of the wire format."""
    WRONG_SHAPE = "wrong_shape"
    """An action channel of the wrong length."""
    NON_FINITE = "non_finite"
    """NaN or an infinity in an action."""
    GIVEN_UP = "given_up"
    """Too many of the policy's episodes in a row were forfeited, and its last chance too: this one was not run.

    Written by the conductor (`worker` is `conductor`, no steps, no calls, no evidence); the detail says what the last
    failure was. The rules are in `producers/cycles/chances.py`.
    """


class FailureCode(StrEnum):
    """Why an attempt ended for a reason of ours. It is never held against the miner."""

    WORKER_LOST = "worker_lost"
    """The worker died or stalled past its lease."""
    SIMULATOR_ERROR = "simulator_error"
    OUR_NETWORK = "our_network"
    INTERNAL_ERROR = "internal_error"
    HANDED_BACK = "handed_back"
    """The worker was told to stop, and its grace ended before the episode did."""

    @property
    def counts(self) -> bool:
        """Whether the attempt is one of the `attempts_max`: restarts of workers, however many, lose no episode."""
        return self is not FailureCode.HANDED_BACK


class AbandonCode(StrEnum):
    """Why an episode has no result."""

    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    CYCLE_DEADLINE = "cycle_deadline"


class ActLatency(Value):
    """How long the policy took to answer, as measured around its HTTP calls, in milliseconds."""

    calls: Annotated[int, Field(ge=0)]
    p50_ms: Annotated[float, Field(ge=0)]
    max_ms: Annotated[float, Field(ge=0)]


class Evidence(Value):
    """What a second simulation of the episode must agree with, and where the first one ran.

    Of what the seed drew only a digest: an outcome is public at once, while other miners may have the same episode
    still before them, and where its objects stand is what their policies are to find out.
    """

    action_digest: Hex256
    """SHA-256 over the native actions in step order, each value as little-endian float32."""
    final_state_digest: Hex256
    """SHA-256 over the simulator's state after the last step, as little-endian float64."""
    variation_digest: Hex256
    """SHA-256 over the JSON object of name -> number of what the seed drew: sorted names, no spaces."""
    versions: dict[str, str]
    """Of everything that affects physics, where the episode ran."""
    machine: Text
    """The machine's architecture and processor, and those of its instruction sets that can change a digit."""


class _EpisodeEvent(Event):
    cycle: CycleId
    uid: UidField
    hotkey: HotkeyField
    env: EnvId
    index: Annotated[int, Field(ge=0)]

    @property
    def key(self) -> EpisodeKey:
        return EpisodeKey(self.cycle, self.uid, self.env, self.index)


class EpisodeCompleted(_EpisodeEvent):
    """The episode ran to its end: success (`terminated`) or the step limit (`truncated`)."""

    type: ClassVar[str] = "kinitro.episode.completed"
    schema_version: ClassVar[int] = 2
    attempt: Annotated[int, Field(ge=1)]
    success: bool
    total_reward: float
    steps: Annotated[int, Field(ge=0)]
    terminated: bool
    truncated: bool
    evidence: Evidence
    latency: ActLatency
    duration_s: Annotated[float, Field(ge=0)]
    worker: Text


class EpisodeForfeited(_EpisodeEvent):
    """The policy failed. It counts as not a success."""

    type: ClassVar[str] = "kinitro.episode.forfeited"
    schema_version: ClassVar[int] = 2
    attempt: Annotated[int, Field(ge=1)]
    code: ForfeitCode
    detail: Text
    """What was expected, what came, and what the miner can do."""
    steps: Annotated[int, Field(ge=0)]
    evidence: Evidence | None
    """Of the steps before the failure. None if the episode was not begun, or was recorded by version 1."""
    latency: ActLatency
    duration_s: Annotated[float, Field(ge=0)]
    worker: Text


class EpisodeAttemptFailed(_EpisodeEvent):
    """Attempt number `attempt` ended, and not by the policy; the episode still waits for its outcome."""

    type: ClassVar[str] = "kinitro.episode.attempt_failed"
    schema_version: ClassVar[int] = 2
    attempt: Annotated[int, Field(ge=1)]
    code: FailureCode
    detail: Text
    worker: Text


class EpisodeAbandoned(_EpisodeEvent):
    """We failed for good. The episode counts for nobody and against nobody."""

    type: ClassVar[str] = "kinitro.episode.abandoned"
    attempts: Annotated[int, Field(ge=0)]
    code: AbandonCode
    detail: Text


EpisodeOutcome = EpisodeCompleted | EpisodeForfeited | EpisodeAbandoned
