"""Logs as they may come about: several cycles, miners that come, go and change, in any order that is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from datetime import timedelta
from random import Random

from events.codec import draft
from events.envelope import begin
from events.event import Event
from events.ids import EpisodeKey, Uid
from events.log import Draft
from events.verification import VerificationFailed, VerificationOutcome
from events.weights import MinerStanding, WithheldReason
from tests.controls import facts

UIDS = 5


def random_log(seed: int, *, cycles: int = 4) -> list[Draft]:
    """The writers' clocks differ by seconds, so the times do not always rise."""
    random = Random(seed)
    return [
        draft(begin(event, source="/test", time=facts.MOMENT + timedelta(seconds=place / 3 + random.uniform(-2, 2))))
        for place, event in enumerate(_history(random, Random(f"checks {seed}"), cycles))
    ]


def _history(random: Random, checking: Random, cycles: int) -> Iterator[Event]:
    miners = _Miners(random)
    yield from miners.begin()
    waiting: list[Event] = []
    for number in range(1, cycles + 1):
        uids = tuple(sorted(random.sample(range(UIDS), random.randint(1, UIDS - 1))))
        events = [*_cycle(random, checking, number, uids)]
        yield events[0]
        yield from waiting  # the weights of one cycle may come after the plan of the next
        for event in events[1:-1]:
            yield event
            if random.random() < 0.15:
                yield miners.next()
        waiting = [events[-1]]
        if random.random() < 0.5:
            yield waiting.pop()
    yield from waiting


def _cycle(random: Random, checking: Random, number: int, uids: tuple[int, ...]) -> Iterator[Event]:
    terms = facts.verification_terms() if checking.random() < 0.8 else None
    plan = facts.planned(number, uids=uids, episodes=random.randint(1, 3), block=10 * number, verification=terms)
    yield plan
    if random.random() < 0.9:
        yield facts.seeded(number, block=10 * number + 1)
    keys = [
        EpisodeKey(plan.cycle, entry.uid, env, index)
        for entry in plan.roster
        for env in plan.environments
        for index in range(plan.episodes_per_environment)
    ]
    random.shuffle(keys)
    for key in keys:
        if random.random() < 0.2:
            yield facts.attempt_failed(key)
        ends = (facts.completed(key), facts.completed(key, success=False), facts.forfeited(key), facts.abandoned(key))
        yield random.choice(ends)
    checks = [] if terms is None else [*_checks(checking, number, uids)]
    yield from checks
    if random.random() < 0.75:
        yield facts.sealed(number)
        if checks and checking.random() < 0.5:
            yield facts.copies_found(number)
        failed = {check.uid for check in checks if isinstance(check, VerificationFailed)}
        yield random.choice([facts.weights_computed, facts.weights_withheld])(number).model_copy(
            update={"block": plan.block, "standings": tuple(_standing(uid, failed) for uid in uids)}
        )
    else:
        yield facts.cycle_abandoned(number)
        yield facts.weights_withheld(number).model_copy(
            update={"block": plan.block, "standings": (), "reason": WithheldReason.CYCLE_ABANDONED}
        )


def _checks(random: Random, number: int, uids: Sequence[int]) -> Iterator[VerificationOutcome]:
    kinds = (facts.verification_passed, facts.verification_failed, facts.verification_inconclusive)
    for uid in uids:
        if random.random() < 0.6:
            yield random.choice(kinds)(number, uid)


def _standing(uid: int, failed: Set[Uid]) -> MinerStanding:
    return facts.standing(uid).model_copy(update={"unverified": uid in failed})


class _Miners:
    """What may happen next to each miner."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._ordinals = dict.fromkeys(range(UIDS), 0)
        self._departed: set[int] = set()
        self._rejected: set[int] = set()

    def begin(self) -> Iterator[Event]:
        for uid in range(UIDS - 1):
            yield self._discovered(uid, self._ordinal(uid))

    def next(self) -> Event:
        uid = self._random.randrange(UIDS)
        if self._ordinals[uid] == 0 or uid in self._departed:
            return self._discovered(uid, self._ordinal(uid))
        ordinal = self._ordinal(uid)
        if uid in self._rejected and self._random.random() < 0.5:
            return self._discovered(uid, ordinal)
        if self._random.random() < 0.3:
            self._rejected.add(uid)
            return facts.commitment_rejected(uid, ordinal=ordinal, block=100 + ordinal)
        if uid not in self._rejected and self._random.random() < 0.7:
            return facts.commitment_changed(uid, ordinal=ordinal, block=100 + ordinal)
        self._departed.add(uid)
        return facts.departed(uid, ordinal=ordinal)

    def _discovered(self, uid: int, ordinal: int) -> Event:
        self._departed.discard(uid)
        self._rejected.discard(uid)
        event = facts.discovered(uid, ordinal=ordinal)
        if event.ordinal > 1 and self._random.random() < 0.5:  # it comes back in the slot of another
            event = event.model_copy(update={"uid": facts.discovered((uid + 1) % UIDS).uid})
        return event

    def _ordinal(self, uid: int) -> int:
        self._ordinals[uid] += 1
        return self._ordinals[uid]
