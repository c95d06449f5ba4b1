"""What the log says about one cycle, and what is to be done next. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import cast

from events.codec import decode
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed, CycleSeeded, OutcomeCounts
from events.envelope import RecordedEvent
from events.episodes import (
    EpisodeAbandoned,
    EpisodeAttemptFailed,
    EpisodeCompleted,
    EpisodeForfeited,
    EpisodeOutcome,
)
from events.event import Event
from events.ids import CycleId, EnvId, EpisodeKey, Uid
from events.log import Stored
from events.merkle import MerkleTree
from events.metagraph import SlotsChecked
from events.verification import VerificationFailed, VerificationInconclusive, VerificationPassed
from producers.cycles.chances import Chances
from producers.cycles.checks import Checks

CycleEnd = CycleSealed | CycleAbandoned


class Outcome(IntEnum):
    """How an episode stands; one byte of `CycleState` each."""

    MISSING = 0
    COMPLETED = 1
    FORFEITED = 2
    ABANDONED = 3


_OUTCOMES: dict[type[EpisodeOutcome], Outcome] = {
    EpisodeCompleted: Outcome.COMPLETED,
    EpisodeForfeited: Outcome.FORFEITED,
    EpisodeAbandoned: Outcome.ABANDONED,
}


class Step(StrEnum):
    """What brings a cycle forward.

    PLAN -> SEED -> RUN -> SEAL -> ENDED; from SEED or RUN over ABANDON to SEAL when the deadline has passed.
    VERIFY before SEAL, where the plan has anybody checked and the cycle is not abandoned as a whole; from there over
    CALL_OFF when no more time is left for it.
    CHECK_SLOTS just before SEAL, in a cycle about a chain that is not abandoned as a whole; or in its place, where
    the chain stays away.
    GIVE_UP, whenever a miner has lost its last chance, and back or on. It comes before ABANDON: that chance was lost
    in the log, and a conductor that was away until the deadline must not make it undone.
    """

    PLAN = "plan"
    SEED = "seed"
    RUN = "run"
    GIVE_UP = "give_up"
    ABANDON = "abandon"
    VERIFY = "verify"
    CALL_OFF = "call_off"
    CHECK_SLOTS = "check_slots"
    SEAL = "seal"
    ENDED = "ended"


class CycleState:
    """The fold of `evt.cycle.<n>.>`. Two bytes per planned episode, whatever the size of its events; more per miner.

    What comes after the end is not folded: nothing that comes later counts.
    """

    def __init__(self, cycle: CycleId, secret: bytes | None = None) -> None:
        """`secret`: of the cycle. Without it nobody is drawn to be checked."""
        self.cycle = cycle
        self._secret = secret
        self.plan: RecordedEvent[CyclePlanned] | None = None
        self.seeded: RecordedEvent[CycleSeeded] | None = None
        self.slots: RecordedEvent[SlotsChecked] | None = None
        self.end: RecordedEvent[CycleEnd] | None = None
        self.last: RecordedEvent[Event] | None = None
        """The newest event of the cycle that was folded, the end itself included."""
        self.tree = MerkleTree()
        """Over the exact bytes of all folded events but the end."""
        self.unplanned = 0
        """Outcomes of episodes that the plan does not know: they are in the tree and count for nothing."""
        self.chances = Chances((), 0, None)
        """Whom the cycle still waits for."""
        self.checks = Checks(None, secret)
        """Whom it checks once it waits for nobody."""
        self._outcomes = bytearray()
        self._attempts = bytearray()
        self._counts = [0, 0, 0, 0]
        self._rows: dict[Uid, int] = {}
        self._columns: dict[EnvId, int] = {}

    @property
    def last_sequence(self) -> int:
        return 0 if self.last is None else self.last.sequence

    @property
    def planned(self) -> int:
        """How many episodes the plan names."""
        return len(self._outcomes)

    @property
    def done(self) -> int:
        """How many of them have an outcome."""
        return self.planned - self._counts[Outcome.MISSING]

    @property
    def complete(self) -> bool:
        return self.plan is not None and self.done == self.planned

    @property
    def covered(self) -> bool:
        """Whether so many episodes can be counted as the rules of the plan ask for."""
        assert self.plan is not None
        counted = self._counts[Outcome.COMPLETED] + self._counts[Outcome.FORFEITED]
        return counted >= self.plan.event.rules.coverage_min * self.planned

    @property
    def unchecked(self) -> bool:
        """Whether weights may follow, and nobody has looked yet who still holds its uid."""
        return self.plan is not None and self.plan.event.chain is not None and self.slots is None and self.covered

    @property
    def deadline(self) -> datetime | None:
        """When episodes without an outcome are abandoned; None before there is a plan."""
        return None if self.plan is None else self.plan.time + timedelta(seconds=self.plan.event.deadline_s)

    @property
    def counts(self) -> OutcomeCounts:
        return OutcomeCounts(
            completed=self._counts[Outcome.COMPLETED],
            forfeited=self._counts[Outcome.FORFEITED],
            abandoned=self._counts[Outcome.ABANDONED],
        )

    def outcome(self, key: EpisodeKey) -> Outcome:
        """How a planned episode stands."""
        place = self._place(key)
        assert place is not None, f"{key.id} is not in the plan"
        return Outcome(self._outcomes[place])

    def missing(self) -> Iterator[EpisodeKey]:
        """The planned episodes without an outcome, by miner, environment and index, as they stand when asked for."""
        return self._missing(0, self.planned)

    def given_up(self) -> Iterator[EpisodeKey]:
        """Those among them whose miners have lost their last chance."""
        for uid in self.chances.given_up():
            yield from self._missing(*self._places(uid))

    def wanted(self, key: EpisodeKey) -> bool:
        """Whether a planned episode is to be run: it has no outcome, and its miner is waited for."""
        return self.outcome(key) is Outcome.MISSING and self.chances.wanted(key)

    def failed_attempts(self, key: EpisodeKey) -> int:
        """The highest number of a failed attempt at a planned episode; 0 for none."""
        place = self._place(key)
        assert place is not None, f"{key.id} is not in the plan"
        return self._attempts[place]

    def apply(self, stored: Stored) -> None:
        """Takes in the next event; one seen before changes nothing.

        Raises:
            CodecError: it cannot be read.
        """
        if stored.sequence <= self.last_sequence or self.end is not None:
            return
        recorded = decode(stored)
        self.last = recorded
        if isinstance(recorded.event, CycleEnd):
            self.end = cast(RecordedEvent[CycleEnd], recorded)
            return
        self.tree.add(stored.body)
        match recorded.event:
            case CyclePlanned() as plan:
                self.plan = cast(RecordedEvent[CyclePlanned], recorded)
                self._make_room(plan)
            case CycleSeeded() as seeded:
                self.seeded = cast(RecordedEvent[CycleSeeded], recorded)
                self.checks.seed(seeded)
            case SlotsChecked():
                self.slots = cast(RecordedEvent[SlotsChecked], recorded)
            case EpisodeCompleted() | EpisodeForfeited() | EpisodeAbandoned() as event:
                self._settle(event, recorded.time)
            case EpisodeAttemptFailed() as event:
                self._count_attempt(event)
            case VerificationPassed() | VerificationFailed() | VerificationInconclusive() as event:
                self.checks.settle(event)

    def _make_room(self, plan: CyclePlanned) -> None:
        self._rows = {entry.uid: row for row, entry in enumerate(plan.roster)}
        self._columns = {env: column for column, env in enumerate(plan.environments)}
        self._outcomes = bytearray(plan.episodes_planned)
        self._attempts = bytearray(plan.episodes_planned)
        self._counts[Outcome.MISSING] = plan.episodes_planned
        each = len(plan.environments) * plan.episodes_per_environment
        self.chances = Chances(self._rows, each, plan.terms.forfeits_in_row_max)
        self.checks = Checks(plan, self._secret)

    def _settle(self, event: EpisodeOutcome, time: datetime) -> None:
        place = self._place(event.key)
        if place is None:
            self.unplanned += 1
            return
        outcome = _OUTCOMES[type(event)]
        self._outcomes[place] = outcome
        self._counts[Outcome.MISSING] -= 1
        self._counts[outcome] += 1
        self.chances.settle(event)
        if isinstance(event, EpisodeCompleted):
            self.checks.record(event)
        if self.complete and self.covered:
            self.checks.begin(time)
        for uid in self.chances.to_probe():
            self.chances.probe(self._key(self._outcomes.rfind(Outcome.MISSING, *self._places(uid))))

    def _count_attempt(self, event: EpisodeAttemptFailed) -> None:
        place = self._place(event.key)
        if place is not None:
            self._attempts[place] = max(self._attempts[place], min(event.attempt, 255))

    def _place(self, key: EpisodeKey) -> int | None:
        """The position of a planned episode among all; None if the plan does not name it."""
        row, column = self._rows.get(key.uid), self._columns.get(key.env)
        if self.plan is None or row is None or column is None:
            return None
        episodes = self.plan.event.episodes_per_environment
        return (row * len(self._columns) + column) * episodes + key.index if key.index < episodes else None

    def _key(self, place: int) -> EpisodeKey:
        assert self.plan is not None
        plan = self.plan.event
        pair, index = divmod(place, plan.episodes_per_environment)
        row, column = divmod(pair, len(plan.environments))
        return EpisodeKey(self.cycle, plan.roster[row].uid, plan.environments[column], index)

    def _places(self, uid: Uid) -> tuple[int, int]:
        """Where the episodes of a miner begin and end."""
        each = self.planned // len(self._rows)
        return self._rows[uid] * each, (self._rows[uid] + 1) * each

    def _missing(self, start: int, end: int) -> Iterator[EpisodeKey]:
        while (place := self._outcomes.find(Outcome.MISSING, start, end)) >= 0:
            yield self._key(place)
            start = place + 1


def next_step(state: CycleState, now: datetime) -> Step:
    """What is to be done, given all that the log holds about the cycle."""
    if state.end is not None:
        return Step.ENDED
    if state.deadline is None:
        return Step.PLAN
    if state.complete:
        return _before_the_end(state, now)
    if state.chances.given_up():
        return Step.GIVE_UP
    if now >= state.deadline:
        return Step.ABANDON
    return Step.SEED if state.seeded is None else Step.RUN


def _before_the_end(state: CycleState, now: datetime) -> Step:
    checks = state.checks
    if checks.missing():
        return Step.VERIFY if checks.recorded and now < checks.ends_at else Step.CALL_OFF
    return Step.CHECK_SLOTS if state.unchecked else Step.SEAL
