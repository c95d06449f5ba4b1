"""The one submission that a validator remembers: the newest it has begun. Pure.

    SENT ──► LANDED ──► REVEALED        (the last only where weights are sealed first)
      │ ╲
      │  ╲► OTHERS                      somebody else's weights stand on the chain under our hotkey
      └──► LOST ──► (begun again)

SENT is written down before anything is sent, so that a crash leaves it. What became of it only the chain knows: our
uid's last update, looked at from finalized blocks. It is lost for certain once the transaction's era is over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from consumers.validator.facts import Facts
from events.chain.submission import ERA_BLOCKS
from events.ids import CycleId

LOST_AFTER_BLOCKS = 2 * ERA_BLOCKS
"""Counted from the head as one node knows it, which may be some blocks behind another's."""

Pairs = tuple[tuple[int, int], ...]


class Fate(StrEnum):
    """What became of a submission."""

    SENT = "sent"
    LANDED = "landed"
    REVEALED = "revealed"
    OTHERS = "others"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A submission of one cycle's weights."""

    cycle: CycleId
    statement: str
    """SHA-256 of what was signed."""
    weights: Pairs
    """As the chain will hold them: (uid, u16), by uid."""
    sealed: bool
    after_block: int
    """Finalized when it was begun: it lands in a later one."""
    fate: Fate = Fate.SENT
    lost_after: int | None = None
    """Not on chain in the finalized block of this number: lost. None until somebody has looked."""
    block: int | None = None
    """In which it landed."""

    @property
    def is_open(self) -> bool:
        """Whether a look at the chain may tell more."""
        return self.fate is Fate.SENT or (self.fate is Fate.LANDED and self.sealed)

    @property
    def is_done(self) -> bool:
        """Whether the cycle is not to be submitted again."""
        return self.fate in (Fate.LANDED, Fate.REVEALED, Fate.OTHERS)


def settled(attempt: Attempt, facts: Facts) -> Attempt:
    """What is known of it after a look at the chain."""
    if attempt.fate is Fate.SENT:
        return _sent(attempt, facts)
    if attempt.fate is Fate.LANDED and attempt.sealed and facts.us is not None:
        return _sealed(attempt, facts)
    return attempt


def _sent(attempt: Attempt, facts: Facts) -> Attempt:
    us = facts.us
    if us is not None and us.last_update > attempt.after_block:
        is_there = us.weights == attempt.weights
        if attempt.sealed:
            is_there = is_there or any(each.block == us.last_update for each in us.commits)
        return replace(attempt, fate=Fate.LANDED if is_there else Fate.OTHERS, block=us.last_update)
    if attempt.lost_after is None:
        return replace(attempt, lost_after=facts.head + LOST_AFTER_BLOCKS)
    if facts.block > attempt.lost_after:
        return replace(attempt, fate=Fate.LOST)
    return attempt


def _sealed(attempt: Attempt, facts: Facts) -> Attempt:
    assert facts.us is not None
    if any(each.block == attempt.block for each in facts.us.commits):
        return attempt
    is_there = facts.us.weights == attempt.weights
    return replace(attempt, fate=Fate.REVEALED if is_there else Fate.OTHERS)
