"""What a miner did in the evaluation that it is paid for, beside what it committed. Pure.

A server that recognises an episode can answer from the committed code when it comes again. What it answered when it
was evaluated is recorded, and no recognition changes it. It decides where all of this holds; else the event says why
it does not (`events.verification.Undecided`):

- The check has the observations of the evaluation: the same versions, and with pictures the same kind of machine;
  and what is played again comes to the rewards, states and pictures that were recorded.
- The committed code repeats itself, so that it is compared by value.
- What it does there depends on nothing but the observation and the environment. A miner's episodes run at once, and
  behind a proxy they share connections: what a policy remembers may have been another episode's. So it is asked
  again: right after the reset; and after the reset of another episode, another episode's observations and these,
  without a reset between them. It has to give the same action, to the last bit. It is also asked right after the
  reset for each other environment: who was evaluated with one of these actions was told another environment by a
  mix-up.

The error is that of `measure`, over the values that drive the simulator: a native value that is twice an action's
differs by twice as much, which is divided out. So a policy that is within the tolerance now was so then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from consumers.verification.measure import Actions, Channels, magnitudes
from consumers.verification.probes import Evaluation
from events.ids import EnvId
from events.verification import Evaluated, Undecided
from sim.suite import native_map

Values = tuple[float, ...]

FOUND_BY_CHECK = frozenset(
    {
        Undecided.OTHER_VERSIONS,
        Undecided.OTHER_MACHINE,
        Undecided.OTHER_OBSERVATIONS,
        Undecided.NOT_ANSWERED,
    }
)
"""Reasons that do not follow from the actions."""


@dataclass(frozen=True, slots=True)
class Otherwise:
    """The committed code's actions for one observation, where it is asked otherwise than in the episode."""

    alone: Actions
    after_others: Actions
    elsewhere: tuple[Actions, ...]
    """By environment, in the cycle's order."""


@dataclass(frozen=True, slots=True)
class OwnSample:
    """An own episode's sample, before it is judged."""

    evaluation: Evaluation
    otherwise: Otherwise | None
    """None where there was no use in asking, or no answer."""


def evaluated(own: OwnSample, env: EnvId, committed: Actions, channels: Channels, *, by_value: bool) -> Evaluated:
    """`committed`: of the first repeat, shape (n,), all channels one after the other; `channels`: as measured.

    Raises:
        ValueError: these are no actions of this environment.
        UnknownEnvironment
    """
    other = own.otherwise
    elsewhere = other.elsewhere if other else ()
    given = own.evaluation.given
    return Evaluated(
        given=_values(given),
        committed=_values(native_map(env).native(committed)),
        alone=_values(other.alone) if other else None,
        after_others=_values(other.after_others) if other else None,
        elsewhere=tuple(dict.fromkeys(_values(each) for each in elsewhere)),
        error=min(_error(env, given, each, channels) for each in (committed, *elsewhere)),
        undecided=_undecided(own, committed, by_value=by_value),
    )


def own_sample(it: Evaluated) -> OwnSample:
    """As it was before it was judged, from what an event holds."""
    found = it.undecided if it.undecided in FOUND_BY_CHECK else None
    otherwise = None
    if it.alone is not None and it.after_others is not None:
        elsewhere = tuple(np.array(each, np.float32) for each in it.elsewhere)
        otherwise = Otherwise(np.array(it.alone, np.float32), np.array(it.after_others, np.float32), elsewhere)
    return OwnSample(Evaluation(np.array(it.given, np.float32), found), otherwise)


def _undecided(own: OwnSample, committed: Actions, *, by_value: bool) -> Undecided | None:
    if own.evaluation.undecided is not None:
        return own.evaluation.undecided
    if not by_value:
        return Undecided.BY_DISTRIBUTION
    if own.otherwise is None:
        return Undecided.NOT_ANSWERED
    same = all(np.array_equal(committed, each) for each in (own.otherwise.alone, own.otherwise.after_others))
    return None if same else Undecided.KEEPS_STATE


def _error(env: EnvId, given: Actions, action: Actions, channels: Channels) -> float:
    mapped = native_map(env)
    native = mapped.native(np.asarray(action, np.float32))
    if native.shape != given.shape:
        raise ValueError(f"{env}: expected a native action of shape {native.shape}, got {given.shape}")
    apart = np.abs(np.asarray(given, np.float64) - native) / mapped.scale(native)
    return float(np.max(apart / mapped.sources(magnitudes(action, channels))))


def _values(action: Actions) -> Values:
    return tuple(float(value) for value in action)
