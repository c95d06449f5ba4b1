"""Facts about spot checks: does a miner's endpoint behave as the code that the miner committed?

| event                      | meaning                                 | weight                                     |
|----------------------------|-----------------------------------------|--------------------------------------------|
| `VerificationPassed`       | it does, on every sample                | as scored; an earlier failure is over      |
| `VerificationFailed`       | it does not, or there is no such code   | none, until a later check passes (default) |
| `VerificationInconclusive` | *we* could not find out                 | nothing changes                            |

A miner that was drawn has exactly one of them in a cycle, under the cycle's root. Who is drawn, and with which
samples, follows from the cycle's seed (`draws.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from events.event import Event, Hex256, HotkeyField, Text, UidField, Value
from events.ids import CycleId, EnvId, Uid
from events.rules import UnitDecimal

SAMPLES_MAX = 20
ACTION_VALUES_MAX = 64
REPEATS_MAX = 64
ELSEWHERE_MAX = 256
FILES_MAX = 16
"""So many of a repository's weight files are named, the largest first."""


class OnFailure(StrEnum):
    """What follows for a miner that failed its check."""

    NO_WEIGHT = "no_weight"
    """No weight in this cycle, nor in any later one until a check passes."""
    NOTHING = "nothing"
    """It is only told."""


class Measure(StrEnum):
    """Beside what the difference of two actions is set (`consumers/verification/measure.py`). Closed."""

    WHOLE_ACTION = "whole_action"
    """The largest value of all channels. Of plans before schema version 6: a large channel hides a small one."""
    BY_CHANNEL = "by_channel"
    """The largest value of its own channel. Of all new plans."""


class Suspension(Value):
    """A miner of the roster whose latest conclusive check failed, in an earlier cycle. It is checked in every one."""

    uid: UidField
    failed_in: CycleId


class VerificationTerms(Value):
    """How the miners of a cycle are checked: part of the plan, as the scoring rules are."""

    rate: UnitDecimal
    """The probability with which each miner is checked."""
    tolerance: Annotated[Decimal, Field(gt=0, le=1, max_digits=18)]
    """Of the relative error of an action."""
    measure: Measure
    """By which that error is taken."""
    samples: Annotated[int, Field(ge=1, le=SAMPLES_MAX)]
    """How many actions are compared."""
    on_failure: OnFailure
    within_s: Annotated[int, Field(ge=1)]
    """Seconds after the last episode's outcome within which a check has to end; then it is inconclusive."""
    suspended: tuple[Suspension, ...]
    """By uid, rising."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        uids = [each.uid for each in self.suspended]
        if uids != sorted(set(uids)):
            raise ValueError(f"the suspended uids do not rise: {uids}")
        return self


class Method(StrEnum):
    """How two sides were compared."""

    BY_VALUE = "by_value"
    BY_DISTRIBUTION = "by_distribution"


class Mismatch(StrEnum):
    """What is wrong with one action, or a set of them."""

    BEYOND_TOLERANCE = "beyond_tolerance"
    WRONG_SHAPE = "wrong_shape"
    NON_FINITE = "non_finite"
    OTHER_DISTRIBUTION = "other_distribution"
    NOT_REPEATED = "not_repeated"
    """The committed code states that it is seeded by the episode, and does not give the same action again."""
    EVALUATION_DIFFERS = "evaluation_differs"
    """The endpoint acts as the committed code now, and did not in the evaluation."""


class Undecided(StrEnum):
    """Why nothing is held against the miner of what it did in the evaluation. Closed.

    The first four are found where the check is made; the last two follow from the comparison's actions.
    """

    OTHER_VERSIONS = "other_versions"
    """The episode was run with other versions of the simulator and its libraries than the check."""
    OTHER_MACHINE = "other_machine"
    """It has pictures, and was run on another kind of machine."""
    OTHER_OBSERVATIONS = "other_observations"
    """Played again, it came to other rewards, states or pictures than in the evaluation."""
    NOT_ANSWERED = "not_answered"
    """The committed code did not say what it does without its memory."""
    BY_DISTRIBUTION = "by_distribution"
    """The committed code does not repeat itself."""
    KEEPS_STATE = "keeps_state"
    """What the committed code does there depends on more than the observation and the environment: then episodes that
    ran at once may have been mixed up, which is not held against anybody."""


ActionValues = Annotated[tuple[float, ...], Field(max_length=ACTION_VALUES_MAX)]
"""All channels of one action one after the other, by name."""
ByRepeat = Annotated[tuple[ActionValues, ...], Field(max_length=REPEATS_MAX)]


class Evaluated(Value):
    """What the miner itself did at a sample when it was evaluated, beside what the committed code does.

    `given` and `committed` are native actions (`sim/native.py`), the others have all channels, as a sample's have.
    """

    given: ActionValues
    """With this the simulator was driven: as it was recorded."""
    committed: ActionValues
    """Of the first repeat, as it would have driven the simulator."""
    alone: ActionValues | None
    """The committed code's where it is asked for this observation right after the reset; None where it was not."""
    after_others: ActionValues | None
    """And where, after the reset of another episode of the environment, it is shown another episode first, and then
    this one."""
    elsewhere: Annotated[tuple[ActionValues, ...], Field(max_length=ELSEWHERE_MAX)]
    """And those, without doubles, that it gives right after a reset for each other environment of the cycle: a
    policy whose episodes were mixed up may have been told another one."""
    error: float
    """Of `given`, as a sample's, over the values that a native action comes from: the least of those beside
    `committed` and beside each of `elsewhere`."""
    undecided: Undecided | None
    """None: an error beyond the tolerance is a mismatch."""


class CheckedSample(Value):
    """What both sides did at one step of one recorded episode, played from its reset on."""

    uid: UidField
    """Whose episode it was."""
    env: EnvId
    index: Annotated[int, Field(ge=0)]
    step: Annotated[int, Field(ge=0)]
    """Counted from 0: the action that follows the observation of this number."""
    committed: ByRepeat
    served: ByRepeat
    error: float | None
    """The relative error; None where there is none to compute."""
    score: Annotated[float, Field(ge=0, le=1)]
    """Of what is served now; the evaluation is not in it."""
    mismatch: Mismatch | None
    evaluated: Evaluated | None
    """None where the episode is another miner's, or no cycle's."""


class ComparedActions(Value):
    """The whole comparison: it follows from the actions in it, the plan's tolerance and measure, the cycle's seed."""

    method: Method
    seeded: bool
    """Whether the committed code states that it is seeded by the episode."""
    score: Annotated[float, Field(ge=0, le=1)]
    """How well they match: the mean over the samples. By distribution: 1 where it passed, else the p-value."""
    p_value: Annotated[float, Field(ge=0, le=1)] | None
    false_alarm_rate: Annotated[float, Field(ge=0, le=1)] | None
    """By distribution only: how often an honest policy fails."""
    samples: Annotated[tuple[CheckedSample, ...], Field(min_length=1, max_length=SAMPLES_MAX)]


class WeightFile(Value):
    """A large file of the committed repository that is no text: a model's weights, as far as one can tell."""

    name: Text
    size: Annotated[int, Field(ge=0)]
    sha256: Hex256


class Committed(Value):
    """What was fetched of the commitment."""

    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    """The full hash to which the committed revision was resolved."""
    files: Annotated[tuple[WeightFile, ...], Field(max_length=FILES_MAX)]


class FailureReason(StrEnum):
    """What the miner did wrong. Closed."""

    ACTIONS_DIFFER = "actions_differ"
    """The endpoint does not act as the committed code."""
    EVALUATION_DIFFERS = "evaluation_differs"
    """It does now, but did not in the evaluation."""
    NOT_REPEATED = "not_repeated"
    """The code states that it is seeded by the episode, and is not."""
    REPOSITORY_REFUSED = "repository_refused"
    """What was committed is not there, or is not what may be committed."""
    CODE_FAILED = "code_failed"
    """The committed code is no policy, or broke off, or took more than it may."""
    ENDPOINT_FAILED = "endpoint_failed"
    """The endpoint gave no valid action, and neither our network nor our patience was to blame."""


class InconclusiveReason(StrEnum):
    """Why we could not find out. Closed; nothing of it is held against the miner."""

    NO_SANDBOX = "no_sandbox"
    """The code of miners cannot safely be run where the check was made."""
    SANDBOX_FAILED = "sandbox_failed"
    HUB_TROUBLE = "hub_trouble"
    """What was committed could not be fetched, for a reason that is not the miner's."""
    NO_RECORDINGS = "no_recordings"
    """No episode of the cycle was recorded, or none is kept any more."""
    OUR_NETWORK = "our_network"
    SIMULATOR_ERROR = "simulator_error"
    TOO_LATE = "too_late"
    """Nobody had checked the miner when the cycle had to end: is a verifier running?"""
    INTERNAL_ERROR = "internal_error"


class _Verification(Event):
    cycle: CycleId
    uid: UidField
    hotkey: HotkeyField
    repo: Text
    revision: Text
    """As committed."""


class _Checked(_Verification):
    duration_s: Annotated[float, Field(ge=0)]
    verifier: Text
    """Which process checked."""


class VerificationPassed(_Checked):
    """Every sampled action of the endpoint is one of the committed code's."""

    type: ClassVar[str] = "kinitro.verification.passed"
    committed: Committed
    sandbox: Text
    """What the code ran in."""
    compared: ComparedActions


class VerificationFailed(_Checked):
    """The endpoint is not the committed policy."""

    type: ClassVar[str] = "kinitro.verification.failed"
    reason: FailureReason
    detail: Text
    """What was expected, what was found, and what the miner can do."""
    committed: Committed | None
    sandbox: Text | None
    compared: ComparedActions | None


class VerificationInconclusive(_Checked):
    """We could not find out."""

    type: ClassVar[str] = "kinitro.verification.inconclusive"
    reason: InconclusiveReason
    detail: Text
    committed: Committed | None


VerificationOutcome = VerificationPassed | VerificationFailed | VerificationInconclusive


def unverified(terms: VerificationTerms | None, outcomes: Iterable[VerificationOutcome]) -> frozenset[Uid]:
    """The uids that get no weight in a cycle with these outcomes.

    Who failed in it; and who failed in an earlier one, unless it passed now.
    """
    if terms is None or terms.on_failure is OnFailure.NOTHING:
        return frozenset()
    outcomes = tuple(outcomes)
    failed = {it.uid for it in outcomes if isinstance(it, VerificationFailed)}
    passed = {it.uid for it in outcomes if isinstance(it, VerificationPassed)}
    return frozenset(failed | ({it.uid for it in terms.suspended} - passed))
