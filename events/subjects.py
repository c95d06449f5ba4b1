"""Which subject an event has. A subject names a thing and the event's place in its life, and holds one event, ever.

evt.miner.<hotkey>.<ordinal>                                    a miner's n-th event
evt.cycle.<n>.plan                                              CyclePlanned
evt.cycle.<n>.metagraph                                         MetagraphRecorded, of cycles about a chain
evt.cycle.<n>.seed                                              CycleSeeded
evt.cycle.<n>.episode.<uid>.<family>.<task>.<index>             the outcome
evt.cycle.<n>.attempt.<uid>.<family>.<task>.<index>.<attempt>   EpisodeAttemptFailed
evt.cycle.<n>.verification.<uid>                                VerificationPassed, -Failed or -Inconclusive
evt.cycle.<n>.slots                                             SlotsChecked, of cycles about a chain
evt.cycle.<n>.seal                                              CycleSealed or CycleAbandoned
evt.weights.<n>                                                 WeightsComputed or WeightsWithheld
evt.signed.root.<n>                                             RootSigned
evt.signed.weights.<n>                                          WeightsSigned
evt.anchor.<n>                                                  RootAnchored: cycle n's history root is on the chain
evt.identity.<ordinal>                                          KeyAnnounced
evt.rules.<n>                                                   RulesAnnounced, to count from cycle n
evt.shadow.<n>.<m>                                              ShadowScored: cycle n under the rules for cycle m
evt.copies.<n>                                                  CopiesFound
evt.discovery.<ordinal>                                         DiscoveryDegraded or DiscoveryRestored
"""

from __future__ import annotations

from functools import singledispatch
from typing import NamedTuple, Protocol

from events.anchors import RootAnchored
from events.copies import CopiesFound
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed, CycleSeeded
from events.discovery import DiscoveryDegraded, DiscoveryRestored
from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited
from events.event import Event
from events.ids import CycleId, EnvId, Hotkey, Uid, split_env_id
from events.metagraph import MetagraphRecorded, SlotsChecked
from events.miners import MinerCommitmentChanged, MinerCommitmentRejected, MinerDeparted, MinerDiscovered
from events.rule_changes import RulesAnnounced, ShadowScored
from events.signed import KeyAnnounced, RootSigned, WeightsSigned
from events.tasks import CheckTask, Task
from events.verification import (
    VerificationFailed,
    VerificationInconclusive,
    VerificationOutcome,
    VerificationPassed,
)
from events.weights import WeightsComputed, WeightsWithheld

ALL = "evt.>"
MINERS = "evt.miner.>"
PLANS = "evt.cycle.*.plan"
SEALS = "evt.cycle.*.seal"
OUTCOMES = "evt.cycle.*.episode.>"
VERIFICATIONS = "evt.cycle.*.verification.*"
WEIGHTS = "evt.weights.*"
SIGNED = "evt.signed.>"
SIGNED_ROOTS = "evt.signed.root.*"
ANCHORS = "evt.anchor.*"
IDENTITY = "evt.identity.*"
RULES = "evt.rules.*"
DISCOVERY = "evt.discovery.*"
EPISODE_TASKS = "task.episode.>"
CHECK_TASKS = "task.check.>"
TASKS = "task.>"
DEAD = "dead."
DEAD_LETTERS = "dead.>"


def miner(hotkey: Hotkey, ordinal: int) -> str:
    return f"evt.miner.{hotkey}.{ordinal}"


def cycle(number: CycleId) -> str:
    """The filter that selects one whole cycle."""
    return f"evt.cycle.{number}.>"


def plan(number: CycleId) -> str:
    return f"evt.cycle.{number}.plan"


def metagraph(number: CycleId) -> str:
    return f"evt.cycle.{number}.metagraph"


def outcomes(number: CycleId) -> str:
    """The filter that selects the outcomes of one cycle."""
    return f"evt.cycle.{number}.episode.>"


def seed(number: CycleId) -> str:
    return f"evt.cycle.{number}.seed"


def verification(number: CycleId, uid: Uid) -> str:
    return f"evt.cycle.{number}.verification.{uid}"


def verifications(number: CycleId) -> str:
    """The filter that selects the spot checks of one cycle."""
    return f"evt.cycle.{number}.verification.*"


def slots(number: CycleId) -> str:
    return f"evt.cycle.{number}.slots"


def seal(number: CycleId) -> str:
    return f"evt.cycle.{number}.seal"


def weights(number: CycleId) -> str:
    return f"evt.weights.{number}"


def signed_root(number: CycleId) -> str:
    return f"evt.signed.root.{number}"


def signed_weights(number: CycleId) -> str:
    return f"evt.signed.weights.{number}"


def anchor(number: CycleId) -> str:
    return f"evt.anchor.{number}"


def identity(ordinal: int) -> str:
    return f"evt.identity.{ordinal}"


def rules(from_cycle: CycleId) -> str:
    return f"evt.rules.{from_cycle}"


def shadow(number: CycleId, rules_from: CycleId) -> str:
    return f"evt.shadow.{number}.{rules_from}"


def shadows(number: CycleId) -> str:
    """The filter that selects what all announced rules would have given in one cycle."""
    return f"evt.shadow.{number}.*"


def copies(number: CycleId) -> str:
    return f"evt.copies.{number}"


def discovery(ordinal: int) -> str:
    return f"evt.discovery.{ordinal}"


class OfEpisode(Protocol):
    """Names an episode: its key, or an event or task with the same fields."""

    @property
    def cycle(self) -> CycleId: ...
    @property
    def uid(self) -> Uid: ...
    @property
    def env(self) -> EnvId: ...
    @property
    def index(self) -> int: ...


def outcome(key: OfEpisode) -> str:
    return f"evt.cycle.{key.cycle}.episode.{_episode(key)}"


def attempt(key: OfEpisode, number: int) -> str:
    return f"evt.cycle.{key.cycle}.attempt.{_episode(key)}.{number}"


def task(key: OfEpisode) -> str:
    """The subject of an episode's task on the work queue (not in the log)."""
    return f"task.episode.{key.cycle}.{_episode(key)}"


def trace(key: OfEpisode, attempt: int, action_digest: str) -> str:
    """The subject of what was recorded of an attempt (not in the log).

    Two workers that both hold an attempt, after a lease ran out, may record different actions of a policy that
    draws: the digest says which recording is the outcome's.
    """
    return f"trace.{key.cycle}.{_episode(key)}.{attempt}.{action_digest}"


def check(number: CycleId, uid: Uid) -> str:
    """The subject of a spot check's task on the work queue (not in the log)."""
    return f"task.check.{number}.{uid}"


def task_of(work: Task) -> str:
    return check(work.cycle, work.uid) if isinstance(work, CheckTask) else task(work.key)


def tasks(number: CycleId) -> str:
    """The filter that selects the tasks of one cycle on the work queue, of episodes and of checks."""
    return f"task.*.{number}.>"


def dead_letter(task_subject: str) -> str:
    """The subject of a task that nobody could take (not in the log)."""
    return f"{DEAD}{task_subject}"


class Settling(NamedTuple):
    """What makes a task pointless, once the log has it."""

    outcome: str
    """Subject of the episode's outcome, or the check's."""
    seal: str
    """Subject of the cycle's end."""


def settling(task_subject: str) -> Settling | None:
    """Read from the subject alone, as a task's body may be of another version; None if it is no task's subject."""
    match task_subject.split("."):
        case ["task", "episode", number, uid, family, name, index] if all(map(_counts, (number, uid, index))):
            outcome = f"evt.cycle.{number}.episode.{uid}.{family}.{name}.{index}"
        case ["task", "check", number, uid] if _counts(number) and _counts(uid):
            outcome = f"evt.cycle.{number}.verification.{uid}"
        case _:
            return None
    return Settling(outcome, f"evt.cycle.{number}.seal")


def _counts(token: str) -> bool:
    return token.isascii() and token.isdecimal()


def episodes_of(number: CycleId, uid: Uid) -> str:
    """The filter that selects those of one miner's episodes."""
    return f"task.episode.{number}.{uid}.>"


def _episode(key: OfEpisode) -> str:
    family, name = split_env_id(key.env)
    return f"{key.uid}.{family}.{name}.{key.index}"


@singledispatch
def subject_of(event: Event) -> str:
    """The subject of any event."""
    raise TypeError(f"{type(event).__name__} has no subject: give it one in events/subjects.py")


@subject_of.register(EpisodeCompleted | EpisodeForfeited | EpisodeAbandoned)
def _(event: EpisodeCompleted | EpisodeForfeited | EpisodeAbandoned) -> str:
    return outcome(event)


@subject_of.register
def _(event: EpisodeAttemptFailed) -> str:
    return attempt(event, event.attempt)


@subject_of.register(MinerDiscovered | MinerCommitmentChanged | MinerCommitmentRejected | MinerDeparted)
def _(event: MinerDiscovered | MinerCommitmentChanged | MinerCommitmentRejected | MinerDeparted) -> str:
    return miner(event.hotkey, event.ordinal)


@subject_of.register
def _(event: CyclePlanned) -> str:
    return plan(event.cycle)


@subject_of.register
def _(event: MetagraphRecorded) -> str:
    return metagraph(event.cycle)


@subject_of.register
def _(event: CycleSeeded) -> str:
    return seed(event.cycle)


@subject_of.register(VerificationPassed | VerificationFailed | VerificationInconclusive)
def _(event: VerificationOutcome) -> str:
    return verification(event.cycle, event.uid)


@subject_of.register
def _(event: SlotsChecked) -> str:
    return slots(event.cycle)


@subject_of.register
def _(event: CopiesFound) -> str:
    return copies(event.cycle)


@subject_of.register(CycleSealed | CycleAbandoned)
def _(event: CycleSealed | CycleAbandoned) -> str:
    return seal(event.cycle)


@subject_of.register(WeightsComputed | WeightsWithheld)
def _(event: WeightsComputed | WeightsWithheld) -> str:
    return weights(event.cycle)


@subject_of.register
def _(event: RootSigned) -> str:
    return signed_root(event.cycle)


@subject_of.register
def _(event: WeightsSigned) -> str:
    return signed_weights(event.cycle)


@subject_of.register
def _(event: RootAnchored) -> str:
    return anchor(event.cycle)


@subject_of.register
def _(event: KeyAnnounced) -> str:
    return identity(event.ordinal)


@subject_of.register
def _(event: RulesAnnounced) -> str:
    return rules(event.cycle)


@subject_of.register
def _(event: ShadowScored) -> str:
    return shadow(event.cycle, event.rules_from_cycle)


@subject_of.register(DiscoveryDegraded | DiscoveryRestored)
def _(event: DiscoveryDegraded | DiscoveryRestored) -> str:
    return discovery(event.ordinal)
