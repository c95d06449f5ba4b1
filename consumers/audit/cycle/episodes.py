"""Which planned episodes have an outcome, and how they ended: some bytes for each episode, four counts for each pair.

So an audit's memory grows with the plan by some twenty bytes for each episode, and not with what is said about them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from random import SystemRandom

import orjson

from consumers.audit.case import Claim, claim_of
from consumers.audit.cycle.verdicts import Difference
from consumers.scoring.rates import Tallies
from events.cycles import CyclePlanned, OutcomeCounts
from events.draws import Recording
from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited, EpisodeOutcome
from events.ids import EpisodeKey, Uid
from events.weights import EnvironmentTally

EPISODES_MAX = 10_000_000
"""More than any cycle can run; a forged plan may name more, and there is to be room for them."""

DIGEST_BYTES = 16
STEPS_MAX = 2**32 - 1
"""More are kept as so many."""

ATTEMPTS_MAX = 2**16 - 1
"""Nobody restarts workers so often during one episode."""

_ENDED, _RAN = 1, 2


class Episodes:
    """The planned episodes of a cycle, each with a slot: by miner, then environment, then index."""

    def __init__(self, plan: CyclePlanned, *, keep_claims: bool) -> None:
        """Makes room for them.

        Raises:
            ValueError: there are more than `EPISODES_MAX`.
        """
        if plan.episodes_planned > EPISODES_MAX:
            raise ValueError(f"at most {EPISODES_MAX} episodes")
        self._plan = plan
        self._miners = {entry.uid: (place, entry.hotkey) for place, entry in enumerate(plan.roster)}
        self._environments = {env: place for place, env in enumerate(plan.environments)}
        self._flags = bytearray(plan.episodes_planned)
        self._claims = bytearray(DIGEST_BYTES * plan.episodes_planned if keep_claims else 0)
        self._actions = bytearray(DIGEST_BYTES * plan.episodes_planned)
        """The beginning of each digest of actions; zeros where an episode was not completed."""
        self._steps = memoryview(bytearray(4 * plan.episodes_planned)).cast("I")
        """Of the completed."""
        self._attempts = memoryview(bytearray(2 * plan.episodes_planned)).cast("H")
        self._failures = bytearray(plan.episodes_planned)
        """Those of the attempts that count."""
        self._counts = [[0, 0, 0, 0] for _ in range(len(plan.roster) * len(plan.environments))]
        self.ended = 0

    @property
    def planned(self) -> int:
        return len(self._flags)

    @property
    def complete(self) -> bool:
        return self.ended == len(self._flags)

    @property
    def ran(self) -> int:
        """How many were simulated at all, so that they could be again."""
        return sum(flags & _RAN > 0 for flags in self._flags)

    def end(self, outcome: EpisodeOutcome, where: str) -> Difference | None:
        """Notes the outcome of an episode; a difference where it is not planned, or has one already."""
        if (unplanned := self._unplanned(outcome, where)) is not None:
            return unplanned
        slot = self._slot(outcome.key)
        if self._flags[slot]:
            return Difference(where, f"one outcome of episode {outcome.key.id}", "a second one")
        self._flags[slot] = _ENDED
        self.ended += 1
        self._count(outcome, self._counts[slot // self._plan.episodes_per_environment])
        if isinstance(outcome, EpisodeCompleted):
            self._steps[slot] = min(outcome.steps, STEPS_MAX)
            digest_of_actions = bytes.fromhex(outcome.evidence.action_digest)[:DIGEST_BYTES]
            self._actions[DIGEST_BYTES * slot : DIGEST_BYTES * (slot + 1)] = digest_of_actions
        if not isinstance(outcome, EpisodeAbandoned) and outcome.evidence is not None:
            self._flags[slot] |= _RAN
            if self._claims:
                self._claims[DIGEST_BYTES * slot : DIGEST_BYTES * (slot + 1)] = digest(claim_of(outcome))
        return None

    def attempt(self, failed: EpisodeAttemptFailed, where: str) -> Difference | None:
        """Notes an attempt without an outcome; a difference where it is not planned, told twice or one too many."""
        if (unplanned := self._unplanned(failed, where)) is not None:
            return unplanned
        slot, episode, limit = self._slot(failed.key), failed.key.id, self._plan.terms.attempts_max
        if failed.attempt <= self._attempts[slot]:
            return Difference(where, f"one event of attempt {failed.attempt} at {episode}", "a second one")
        if failed.attempt != (following := self._attempts[slot] + 1) or following > ATTEMPTS_MAX:
            return Difference(where, f"attempt {following} of {episode} to be the next", f"attempt {failed.attempt}")
        if failed.code.counts and self._failures[slot] == limit:
            return Difference(
                where, f"at most {limit} attempts that failed at {episode}", f"attempt {failed.attempt}"
            )
        self._attempts[slot] = following
        self._failures[slot] += failed.code.counts
        return None

    def first_missing(self) -> EpisodeKey | None:
        """The first planned episode without an outcome."""
        slot = self._flags.find(0)
        return None if slot < 0 else self._key(slot)

    def counts(self) -> OutcomeCounts:
        completed, _, forfeited, abandoned = (sum(column) for column in zip((0, 0, 0, 0), *self._counts, strict=True))
        return OutcomeCounts(completed=completed, forfeited=forfeited, abandoned=abandoned)

    def tallies(self) -> Tallies:
        """What the scores are made of."""
        rows = iter(self._counts)
        return {
            entry.uid: {env: _tally(next(rows)) for env in self._plan.environments} for entry in self._plan.roster
        }

    def recordings(self) -> Iterator[list[Recording]]:
        """What spot checks may be made with, miner by miner."""
        plan = self._plan
        names = [(env, index) for env in plan.environments for index in range(plan.episodes_per_environment)]
        for place, entry in enumerate(plan.roster):
            steps = self._steps[place * len(names) : (place + 1) * len(names)]
            yield [
                Recording(env, index, entry.uid, taken)
                for (env, index), taken in zip(names, steps, strict=True)
                if taken
            ]

    def actions(self, uid: Uid) -> Sequence[bytes | None]:
        """Of each planned episode of this miner the beginning of the digest of its actions; None: not completed."""
        each = DIGEST_BYTES * len(self._environments) * self._plan.episodes_per_environment
        first = self._miners[uid][0] * each
        found = (bytes(self._actions[at : at + DIGEST_BYTES]) for at in range(first, first + each, DIGEST_BYTES))
        return [actions if any(actions) else None for actions in found]

    def drawn(self, wanted: int) -> list[EpisodeKey]:
        """So many of the episodes that were simulated, at random, and other ones in each audit.

        Nothing that is in the log may choose them: who writes an end can try until it chooses what is not forged.
        """
        ran = [slot for slot, flags in enumerate(self._flags) if flags & _RAN]
        return [self._key(slot) for slot in SystemRandom().sample(ran, min(wanted, len(ran)))]

    def holds(self, key: EpisodeKey, claim: Claim) -> bool:
        """Whether the outcome that was audited claims the same."""
        slot = self._slot(key)
        return self._claims[DIGEST_BYTES * slot : DIGEST_BYTES * (slot + 1)] == digest(claim)

    def _unplanned(self, event: EpisodeOutcome | EpisodeAttemptFailed, where: str) -> Difference | None:
        plan = self._plan
        _, hotkey = self._miners.get(event.uid, (None, None))
        if hotkey is None or event.env not in self._environments or event.index >= plan.episodes_per_environment:
            return Difference(where, f"an episode of the plan of cycle {plan.cycle}", event.key.id)
        if event.hotkey != hotkey:
            return Difference(where, f"{hotkey}, the plan's miner with uid {event.uid}", event.hotkey)
        return None

    def _slot(self, key: EpisodeKey) -> int:
        pair = self._miners[key.uid][0] * len(self._environments) + self._environments[key.env]
        return pair * self._plan.episodes_per_environment + key.index

    def _key(self, slot: int) -> EpisodeKey:
        plan = self._plan
        pair, index = divmod(slot, plan.episodes_per_environment)
        miner, env = divmod(pair, len(plan.environments))
        return EpisodeKey(plan.cycle, plan.roster[miner].uid, plan.environments[env], index)

    @staticmethod
    def _count(outcome: EpisodeOutcome, count: list[int]) -> None:
        match outcome:
            case EpisodeCompleted():
                count[0] += 1
                count[1] += outcome.success
            case EpisodeForfeited():
                count[2] += 1
            case EpisodeAbandoned():
                count[3] += 1


def digest(claim: Claim) -> bytes:
    """Of all that a claim says."""
    said = orjson.dumps(claim, default=lambda value: value.model_dump(), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).digest()[:DIGEST_BYTES]


def _tally(count: list[int]) -> EnvironmentTally:
    completed, successful, forfeited, abandoned = count
    return EnvironmentTally(completed=completed, successful=successful, forfeited=forfeited, abandoned=abandoned)
