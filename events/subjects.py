"""Which subject an event has. A subject names a thing and the event's place in its life, and holds one event, ever.

evt.miner.<hotkey>.<ordinal>                                    a miner's n-th event
evt.cycle.<n>.plan                                              CyclePlanned
evt.cycle.<n>.seed                                              CycleSeeded
evt.cycle.<n>.episode.<uid>.<family>.<task>.<index>             the outcome
evt.cycle.<n>.attempt.<uid>.<family>.<task>.<index>.<attempt>   EpisodeAttemptFailed
evt.cycle.<n>.seal                                              CycleSealed or CycleAbandoned
evt.weights.<n>                                                 WeightsComputed or WeightsWithheld
"""

from __future__ import annotations

from functools import singledispatch

from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed, CycleSeeded
from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited
from events.event import Event
from events.ids import CycleId, EpisodeKey, Hotkey, split_env_id
from events.miners import MinerCommitmentChanged, MinerDeparted, MinerDiscovered
from events.weights import WeightsComputed, WeightsWithheld

ALL = "evt.>"
MINERS = "evt.miner.>"
PLANS = "evt.cycle.*.plan"
SEALS = "evt.cycle.*.seal"
OUTCOMES = "evt.cycle.*.episode.>"
WEIGHTS = "evt.weights.*"


def miner(hotkey: Hotkey, ordinal: int) -> str:
    return f"evt.miner.{hotkey}.{ordinal}"


def cycle(number: CycleId) -> str:
    """The filter that selects one whole cycle."""
    return f"evt.cycle.{number}.>"


def plan(number: CycleId) -> str:
    return f"evt.cycle.{number}.plan"


def seed(number: CycleId) -> str:
    return f"evt.cycle.{number}.seed"


def seal(number: CycleId) -> str:
    return f"evt.cycle.{number}.seal"


def weights(number: CycleId) -> str:
    return f"evt.weights.{number}"


def outcome(key: EpisodeKey) -> str:
    return f"evt.cycle.{key.cycle}.episode.{_episode(key)}"


def attempt(key: EpisodeKey, number: int) -> str:
    return f"evt.cycle.{key.cycle}.attempt.{_episode(key)}.{number}"


def task(key: EpisodeKey) -> str:
    """The subject of an episode's task on the work queue (not in the log)."""
    return f"task.episode.{key.id}"


def _episode(key: EpisodeKey) -> str:
    family, name = split_env_id(key.env)
    return f"{key.uid}.{family}.{name}.{key.index}"


@singledispatch
def subject_of(event: Event) -> str:
    """The subject of any event."""
    raise TypeError(f"{type(event).__name__} has no subject: give it one in events/subjects.py")


@subject_of.register
def _(event: MinerDiscovered | MinerCommitmentChanged | MinerDeparted) -> str:
    return miner(event.hotkey, event.ordinal)


@subject_of.register
def _(event: CyclePlanned) -> str:
    return plan(event.cycle)


@subject_of.register
def _(event: CycleSeeded) -> str:
    return seed(event.cycle)


@subject_of.register
def _(event: CycleSealed | CycleAbandoned) -> str:
    return seal(event.cycle)


@subject_of.register
def _(event: EpisodeCompleted | EpisodeForfeited | EpisodeAbandoned) -> str:
    return outcome(event.key)


@subject_of.register
def _(event: EpisodeAttemptFailed) -> str:
    return attempt(event.key, event.attempt)


@subject_of.register
def _(event: WeightsComputed | WeightsWithheld) -> str:
    return weights(event.cycle)
