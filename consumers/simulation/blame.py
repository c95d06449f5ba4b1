"""Who is to blame when a policy seems unreachable: the policy, or our own network?

| what was seen                             | our network works | cannot be shown      | shown broken         |
|-------------------------------------------|-------------------|----------------------|----------------------|
| the other side answered, if with a refusal | blame             | blame                | blame                |
| never reached, for the first time         | try again (*)     | try again            | try again            |
| never reached, in a later attempt as well | blame             | try again            | try again            |
| connected to, then silent                 | blame             | blame                | try again            |

(*) blame, if there will be no other attempt. "Try again" is an attempt that failed by `our_network`: whichever
worker is free takes the episode next, and on the last attempt it is abandoned, which counts for nobody.

A policy cannot use this to get rid of episodes that it dislikes. Before it was connected to it knows nothing of
an episode; afterwards it is blamed, unless every other policy that we ask has gone silent at the same time. With
others that answer it is blamed at the second attempt at the latest.

If no other policy answered us lately, because it is the only one of the cycle or all are down, nothing tells a
dead policy from a dead uplink. Then its episodes are abandoned: calling a miner's service dead on no evidence
would be wrong for as long as the uplink stays down, while an abandoned episode gains it nothing. It still has
no result, and a policy needs enough results to be ranked at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from events.episodes import FailureCode
from sim.policy import Doubt


class Failure(Protocol):
    """What a policy did not do: a forfeit, or one call that failed."""

    @property
    def detail(self) -> str: ...

    @property
    def doubt(self) -> Doubt: ...


@dataclass(frozen=True, slots=True)
class Check:
    """Whether our own network works, as far as other policies can tell."""

    asked: int = 0
    """How many endpoints that answered lately were asked for a connection just now."""
    answered: int = 0

    @property
    def works(self) -> bool:
        return self.answered > 0

    @property
    def broken(self) -> bool:
        return self.asked > 0 and not self.answered

    def __str__(self) -> str:
        if not self.asked:
            return "no other policy answered us lately that could tell whether our own network works"
        return f"{self.answered} of {self.asked} policies that answered lately can be connected to now"


@dataclass(frozen=True, slots=True)
class Blame:
    """It is the policy's failure."""

    detail: str
    """For the miner."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It may be ours."""

    detail: str


def verdict(failure: Failure, check: Check, earlier: Sequence[FailureCode], *, attempts_max: int) -> Blame | TryAgain:
    """By the table above. `earlier`: how the earlier attempts at the episode failed."""
    if failure.doubt is Doubt.NONE:
        return Blame(failure.detail)
    if failure.doubt is Doubt.FELL_SILENT:
        if check.broken:
            return TryAgain(f"{failure.detail}; {check}: it may be our own network")
        return Blame(failure.detail)
    if not check.works:
        return TryAgain(f"{failure.detail}; {check}")
    seen_before = FailureCode.OUR_NETWORK in earlier
    if seen_before or len(earlier) + 1 >= attempts_max:
        return Blame(f"{failure.detail}{', as in an earlier attempt' if seen_before else ''}; {check}")
    return TryAgain(f"{failure.detail}; {check}: another attempt decides")
