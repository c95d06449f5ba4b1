"""Which rules count, as the log has it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from events import subjects
from events.codec import decode_as
from events.cycles import CyclePlanned
from events.envelope import RecordedEvent
from events.ids import CycleId
from events.log import EventLog
from events.newest import newest_cycle
from events.rule_changes import RulesAnnounced, in_force


class Standing(StrEnum):
    """Whether announced rules count."""

    TO_COME = "to come"
    IN_FORCE = "in force"
    PAST = "past"
    """Others count by now, or did when these would have."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """One announcement, as of the newest plan."""

    recorded: RecordedEvent[RulesAnnounced]
    standing: Standing
    counts_from: CycleId
    """Later than the cycle that it names, where that was planned before it was announced."""


@dataclass(frozen=True, slots=True)
class RulesNow:
    """The newest plan, which has the rules in force, and all announcements, by the cycle that they name."""

    plan: RecordedEvent[CyclePlanned] | None
    announced: tuple[Announcement, ...]


async def read_announced(log: EventLog) -> list[RecordedEvent[RulesAnnounced]]:
    """All announcements, in log order.

    Raises:
        LogUnavailable: no answer in time.
    """
    return [decode_as(RulesAnnounced, stored) async for batch in log.read(subject=subjects.RULES) for stored in batch]


async def rules_now(log: EventLog) -> RulesNow:
    """What counts, and what is to come.

    Raises:
        LogUnavailable: no answer in time.
    """
    newest = await newest_cycle(log)
    stored = await log.last(subjects.plan(newest)) if newest else None
    plan = decode_as(CyclePlanned, stored) if stored else None
    announced = sorted(await read_announced(log), key=lambda it: it.event.cycle)
    return RulesNow(plan, tuple(_announcement(it, plan, announced) for it in announced))


def _announcement(
    recorded: RecordedEvent[RulesAnnounced],
    plan: RecordedEvent[CyclePlanned] | None,
    announced: list[RecordedEvent[RulesAnnounced]],
) -> Announcement:
    event = recorded.event
    if plan is None:
        return Announcement(recorded, Standing.TO_COME, event.cycle)
    current = in_force(plan.event.cycle, (it.event for it in announced if it.sequence < plan.sequence))
    if current is event:
        return Announcement(recorded, Standing.IN_FORCE, event.cycle)
    if current is not None and event.cycle < current.cycle:
        return Announcement(recorded, Standing.PAST, event.cycle)
    return Announcement(recorded, Standing.TO_COME, max(event.cycle, CycleId(plan.event.cycle + 1)))
