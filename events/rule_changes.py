"""Facts about rules to come: they were announced, and what they would have given meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from events.event import Event, Text, Value
from events.ids import CycleId, EnvId
from events.rules import ScoringRules
from events.weights import DecimalText, MinerStanding, WeightsU16, WithheldReason


class RulesAnnounced(Event):
    """From a cycle on these rules count. Who changes their mind announces others for a later cycle."""

    type: ClassVar[str] = "kinitro.rules.announced"
    cycle: Annotated[CycleId, Field(ge=1)]
    """The first cycle from which they count."""
    rules: ScoringRules
    """All of them, the unchanged ones as well."""
    note: Text | None


class Withheld(Value):
    """Why rules give no weights."""

    reason: WithheldReason
    detail: Text


class ShadowScored(Event):
    """What announced rules would have given in a cycle before they count. No part of it is signed, or paid."""

    type: ClassVar[str] = "kinitro.shadow.scored"
    cycle: CycleId
    rules_from_cycle: CycleId
    """Names the announcement: that of the rules which count from this cycle."""
    epsilons: dict[EnvId, DecimalText]
    standings: tuple[MinerStanding, ...]
    """In the order of the plan's roster; empty where the cycle would have been abandoned."""
    weights_u16: WeightsU16 | None
    """None where weights would have been withheld."""
    withheld: Withheld | None


def in_force(cycle: CycleId, announced: Iterable[RulesAnnounced]) -> RulesAnnounced | None:
    """The announcement that decides a cycle's rules, of those that are in the log before its plan; None without any.

    It is the one for the latest cycle that is not later than this one.
    """
    return max((it for it in announced if it.cycle <= cycle), key=lambda it: it.cycle, default=None)


def pending(cycle: CycleId, announced: Sequence[RulesAnnounced]) -> list[RulesAnnounced]:
    """Those that do not count yet in this cycle, the next one first: it is scored under them as well."""
    return sorted((it for it in announced if it.cycle > cycle), key=lambda it: it.cycle)
