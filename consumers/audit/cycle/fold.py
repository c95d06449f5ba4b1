"""One pass over a cycle's events in log order. It keeps what the checks ask for, and the first difference of each.

plan ── (metagraph) ── seed ── outcomes and failed attempts ── (checks) ── (slots) ── end ── weights ── signatures
                               (attempts that we lost may still come after the end)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import cast

import orjson

from consumers.audit.cycle.episodes import Episodes
from consumers.audit.cycle.lines import Line
from consumers.audit.cycle.spelling import written_otherwise
from consumers.audit.cycle.verdicts import Difference, Name
from consumers.scoring.unpaid import Unpaid
from events import subjects
from events.codec import CodecError, UnknownEventType, decode, told
from events.copies import CopiesFound
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed, CycleSeeded
from events.envelope import Envelope, RecordedEvent
from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited, EpisodeOutcome
from events.event import Event
from events.ids import CycleId, Uid
from events.log import Stored
from events.merkle import MerkleTree
from events.metagraph import MetagraphRecorded, SlotsChecked
from events.rule_changes import RulesAnnounced, ShadowScored
from events.signed import KeyAnnounced, RootSigned, WeightsSigned
from events.verification import (
    VerificationFailed,
    VerificationInconclusive,
    VerificationOutcome,
    VerificationPassed,
    unverified,
)
from events.weights import WeightsComputed, WeightsWithheld

OfCycle = (
    CyclePlanned
    | MetagraphRecorded
    | CycleSeeded
    | VerificationOutcome
    | SlotsChecked
    | CycleSealed
    | CycleAbandoned
    | EpisodeCompleted
    | EpisodeForfeited
    | EpisodeAbandoned
    | EpisodeAttemptFailed
    | WeightsComputed
    | WeightsWithheld
    | RootSigned
    | WeightsSigned
    | ShadowScored
    | CopiesFound
)
OfAll = KeyAnnounced | RulesAnnounced
"""Of no one cycle: the export of each holds all of them."""

CONTENT = "application/json"


@dataclass(frozen=True, slots=True)
class Placed:
    """One event that is alone of its kind in a cycle."""

    line: Line
    recorded: RecordedEvent[Event]


@dataclass(frozen=True, slots=True)
class Leaf:
    """The tree over the cycle's events up to one of them."""

    line: Line
    root: str


class CycleFold:
    """The state after the events so far."""

    def __init__(self, cycle: CycleId, *, keep_claims: bool = False) -> None:
        self.cycle = cycle
        self.differences: dict[Name, Difference] = {}
        """The first of each check that is made on the way."""
        self.seconds: defaultdict[Name, float] = defaultdict(float)
        self.newer: str | None = None
        """What a newer program wrote, if any: then this one cannot judge."""
        self.foreign: CycleId | None = None
        """Another cycle of which there are events, if any."""
        self.all = MerkleTree()
        """Over all lines."""
        self.tree = MerkleTree()
        """Over the events of the cycle's subjects before its end."""
        self.leaves: dict[int, Leaf] = {}
        """By tree size, from the last outcome on: the end says which of them it has seen."""
        self.one: dict[type[Event], Placed] = {}
        self.keys: list[tuple[Line, KeyAnnounced]] = []
        self._key_before: Envelope[Event] | None = None
        self.rules: dict[CycleId, tuple[Line, RulesAnnounced]] = {}
        """Announced before the plan, by the cycle from which they count."""
        self.shadows: dict[CycleId, Placed] = {}
        """By the cycle from which their rules count."""
        self.checks: dict[Uid, Placed] = {}
        """The spot checks, by miner."""
        self.episodes: Episodes | None = None
        self._announced: set[CycleId] = set()
        self._keep_claims = keep_claims

    @property
    def end(self) -> Placed | None:
        return self.one.get(CycleSealed) or self.one.get(CycleAbandoned)

    @property
    def weights(self) -> Placed | None:
        return self.one.get(WeightsComputed) or self.one.get(WeightsWithheld)

    @property
    def unpaid(self) -> Unpaid:
        """Who of the plan's miners gets no weight."""
        plan, slots = self.one.get(CyclePlanned), self.one.get(SlotsChecked)
        terms = cast("CyclePlanned", plan.recorded.event).verification if plan else None
        checks = [cast("VerificationOutcome", placed.recorded.event) for placed in self.checks.values()]
        moved = cast("SlotsChecked", slots.recorded.event).moved if slots else ()
        return Unpaid(frozenset(moved), unverified(terms, checks))

    def differ(self, name: Name, difference: Difference | None) -> None:
        """Keeps it, if it is the first."""
        if difference is not None:
            self.differences.setdefault(name, difference)

    def add(self, lines: Sequence[Line]) -> None:
        """The next events."""
        times = [perf_counter()]
        for line in lines:
            self.all.add(line.body)
        times.append(perf_counter())
        events = [(line, recorded) for line in lines if (recorded := self._decoded(line)) is not None]
        times.append(perf_counter())
        leaves: list[tuple[Line, bool]] = []
        for line, recorded in events:
            if (complete := self._apply(line, recorded)) is None:
                self.differ(Name.EVENTS, written_otherwise(line, recorded))  # no root covers its bytes
            else:
                leaves.append((line, complete))
        times.append(perf_counter())
        for line, complete in leaves:
            self.tree.add(line.body)
            if complete:
                self.leaves[self.tree.size] = Leaf(line, self.tree.root().hex())
        times.append(perf_counter())
        for place, name in enumerate((Name.EXPORT, Name.EVENTS, Name.PLAN, Name.ROOT)):
            self.seconds[name] += times[place + 1] - times[place]

    def _decoded(self, line: Line) -> RecordedEvent[Event] | None:
        """The event, if it is one that belongs here."""
        try:
            attributes = orjson.loads(line.body)
            subject, content = str(attributes["subject"]), attributes["datacontenttype"]
            recorded = decode(Stored(line.sequence or line.number, subject, line.body))
            belongs_at = subjects.subject_of(recorded.event)
        except UnknownEventType as error:
            self.newer = self.newer or f"{line.where}: {error}"
            return None
        except (ValueError, KeyError, TypeError, CodecError) as error:  # also a name that no subject can hold
            self.differ(Name.EVENTS, Difference(line.where, "an event", told(error.__cause__ or error)))
            return None
        if content != CONTENT:
            self.differ(Name.EVENTS, Difference(line.where, f"the datacontenttype {CONTENT}", str(content)))
        event = recorded.event
        if not (isinstance(event, OfAll) or (isinstance(event, OfCycle) and event.cycle == self.cycle)):
            self.foreign = self.foreign or (event.cycle if isinstance(event, OfCycle) else None)
            expected = f"events of cycle {self.cycle} and of no other, as GET /v1/cycles/{self.cycle}/events has them"
            self.differ(Name.EVENTS, Difference(line.where, expected, f"{event.type} at {subject}"))
            return None
        if belongs_at != subject:
            self.differ(Name.EVENTS, Difference(line.where, f"it at {belongs_at}", f"it at {subject}"))
            return None
        return recorded

    def _apply(self, line: Line, recorded: RecordedEvent[Event]) -> bool | None:
        """Takes an event in. For a leaf of the cycle's tree, whether every planned episode has an outcome by now."""
        match recorded.event:
            case KeyAnnounced() as announced:
                self._follow_key(line, recorded)
                self.keys.append((line, announced))
                return None
            case RulesAnnounced() as rules:
                self._take_rules(line, rules)
                return None
            case ShadowScored() as shadow:
                self._take_shadow(line, recorded, shadow)
                return None
            case EpisodeCompleted() | EpisodeForfeited() | EpisodeAbandoned() as outcome:
                self._take_outcome(line, outcome)
            case EpisodeAttemptFailed() as failed:
                self._take_attempt(line, failed)
            case VerificationPassed() | VerificationFailed() | VerificationInconclusive() as check:
                self._take_check(line, recorded, check)
            case event:
                self._take_one(line, recorded)
                if not isinstance(event, CyclePlanned | MetagraphRecorded | CycleSeeded | SlotsChecked):
                    return None
        if self.end is not None:
            return None
        return self.episodes is not None and self.episodes.complete

    def _follow_key(self, line: Line, recorded: RecordedEvent[Event]) -> None:
        """Each announcement but the first is caused by the one before; all are one story."""
        envelope, before = recorded.envelope, self._key_before
        cause, story = (before.id, before.correlation) if before else (None, envelope.id)
        if (envelope.causation, envelope.correlation) != (cause, story):
            expected = f"it caused by {cause or 'nothing'} of the story {story}"
            found = f"by {envelope.causation or 'nothing'} of {envelope.correlation}"
            self.differ(Name.SIGNATURE, Difference(line.where, expected, found))
        self._key_before = envelope

    def _take_outcome(self, line: Line, outcome: EpisodeOutcome) -> None:
        is_ours = isinstance(outcome, EpisodeAbandoned)  # at the deadline, if need be, even without a seed
        self._come_after(line, CyclePlanned if is_ours else CycleSeeded, outcome.type)
        if self.end is not None:
            found = f"{outcome.type} of {outcome.key.id}"
            self.differ(Name.PLAN, Difference(line.where, "no outcome after the end of the cycle", found))
        elif self.episodes is not None:
            self.differ(Name.PLAN, self.episodes.end(outcome, line.where))

    def _take_attempt(self, line: Line, failed: EpisodeAttemptFailed) -> None:
        self._come_after(line, CycleSeeded, failed.type)
        if self.episodes is not None:
            self.differ(Name.PLAN, self.episodes.attempt(failed, line.where))

    def _take_rules(self, line: Line, announced: RulesAnnounced) -> None:
        if announced.cycle in self._announced:
            found = "a second one"
            self.differ(Name.PLAN, Difference(line.where, f"one announcement for cycle {announced.cycle}", found))
        elif CyclePlanned not in self.one:
            self.rules[announced.cycle] = (line, announced)
        self._announced.add(announced.cycle)

    def _take_shadow(self, line: Line, recorded: RecordedEvent[Event], shadow: ShadowScored) -> None:
        if shadow.rules_from_cycle in self.shadows:
            self.differ(Name.PLAN, Difference(line.where, f"one event at {recorded.subject}", "a second one"))
        else:
            self.shadows[shadow.rules_from_cycle] = Placed(line, recorded)

    def _take_one(self, line: Line, recorded: RecordedEvent[Event]) -> None:
        event, kind = recorded.event, _KINDS[type(recorded.event)]
        if any(known in self.one for known in kind):
            self.differ(Name.PLAN, Difference(line.where, f"one event at {recorded.subject}", "a second one"))
            return
        self.one[type(event)] = Placed(line, recorded)
        match event:
            case CyclePlanned():
                self._begin(line, event)
            case MetagraphRecorded() | CycleSeeded():
                self._come_after(line, CyclePlanned, event.type)
            case SlotsChecked():
                self._take_slots(line, event)
            case CycleSealed() | CycleAbandoned():
                self._come_after(line, CyclePlanned, event.type)
            case _:
                if self.end is None:
                    self.differ(Name.PLAN, Difference(line.where, "the end of the cycle before", event.type))

    def _take_slots(self, line: Line, slots: SlotsChecked) -> None:
        self._come_after(line, CyclePlanned, slots.type)
        self._come_between(line, slots.type)

    def _take_check(self, line: Line, recorded: RecordedEvent[Event], check: VerificationOutcome) -> None:
        self._come_after(line, CycleSeeded, check.type)
        self._come_between(line, check.type)
        if SlotsChecked in self.one:
            self.differ(Name.PLAN, Difference(line.where, f"{check.type} before the slots", "it after them"))
        if check.uid in self.checks:
            self.differ(Name.PLAN, Difference(line.where, f"one event at {recorded.subject}", "a second one"))
        else:
            self.checks[check.uid] = Placed(line, recorded)

    def _come_between(self, line: Line, found: str) -> None:
        """After all outcomes, before the end."""
        if self.end is not None:
            self.differ(Name.PLAN, Difference(line.where, f"{found} before the end of the cycle", "it after that"))
        elif self.episodes is not None and not self.episodes.complete:
            expected = f"one outcome of each episode before {found}"
            self.differ(Name.PLAN, Difference(line.where, expected, "it before some"))

    def _begin(self, line: Line, plan: CyclePlanned) -> None:
        if self.tree.size or len(self.one) > 1:
            self.differ(Name.PLAN, Difference(line.where, "the plan before all else of the cycle", "it after others"))
        try:
            self.episodes = Episodes(plan, keep_claims=self._keep_claims)
        except ValueError as error:
            self.differ(Name.PLAN, Difference(line.where, str(error), f"{plan.episodes_planned} episodes"))

    def _come_after(self, line: Line, earlier: type[Event], found: str) -> None:
        if earlier not in self.one:
            self.differ(Name.PLAN, Difference(line.where, f"{earlier.type} before it", found))


_ENDS = (CycleSealed, CycleAbandoned)
_RESULTS = (WeightsComputed, WeightsWithheld)
_KINDS: dict[type[Event], tuple[type[Event], ...]] = {
    CyclePlanned: (CyclePlanned,),
    MetagraphRecorded: (MetagraphRecorded,),
    CycleSeeded: (CycleSeeded,),
    SlotsChecked: (SlotsChecked,),
    CycleSealed: _ENDS,
    CycleAbandoned: _ENDS,
    WeightsComputed: _RESULTS,
    WeightsWithheld: _RESULTS,
    RootSigned: (RootSigned,),
    WeightsSigned: (WeightsSigned,),
    CopiesFound: (CopiesFound,),
}
"""Of each kind a cycle has one."""
