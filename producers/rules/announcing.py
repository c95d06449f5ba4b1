"""Rules to come, into the log.

AnnouncementRefused    nothing was announced: the message says why, and what to do
"""

from __future__ import annotations

from dataclasses import dataclass

from events import subjects
from events.announced_rules import Announcement, RulesNow, Standing, rules_now
from events.cli import Misused
from events.codec import draft
from events.envelope import begin
from events.event import Text
from events.ids import CycleId
from events.log import Conflict, EventLog
from events.rule_changes import RulesAnnounced, in_force
from events.rules import ScoringRules
from events.rules_file import RulesFile

SOURCE = "/kinitro/rules"

PENDING_MAX = 8
"""Each cycle is scored once more for each announcement that does not count yet."""


class AnnouncementRefused(Misused):
    """Nothing was announced."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What has come of it."""

    event: RulesAnnounced
    counts_from: CycleId
    """Later than asked for, if that cycle was planned just before."""


async def announce(log: EventLog, from_cycle: CycleId, file: RulesFile, note: Text | None) -> Announced:
    """Announces the rules of a file to count from a cycle; what it does not give stays as `base_of` has it.

    Raises:
        AnnouncementRefused: the cycle has a plan or an announcement already, or too many are to come.
        RulesRefused: the rules do not fit together.
        LogUnavailable: no answer in time; announce it again.
    """
    now = await rules_now(log)
    _check_free(now, from_cycle)
    event = RulesAnnounced(cycle=from_cycle, rules=file.over(base_of(now, from_cycle)), note=note)
    try:
        [sequence] = await log.append([draft(begin(event, source=SOURCE))])
    except Conflict as error:
        raise AnnouncementRefused(
            f"somebody else has just announced rules for cycle {from_cycle}: see `kinitro rules list`"
        ) from error
    counts_from = from_cycle
    while (plan := await log.last(subjects.plan(counts_from))) is not None and plan.sequence < sequence:
        counts_from = CycleId(counts_from + 1)
    return Announced(event, counts_from)


def base_of(now: RulesNow, cycle: CycleId) -> ScoringRules:
    """The rules that would count in a cycle to come: announced, else those of the newest plan, else the defaults."""
    latest = in_force(cycle, (it.recorded.event for it in now.announced))
    if latest is not None:
        return latest.rules
    return now.plan.event.rules if now.plan else ScoringRules()


def _check_free(now: RulesNow, cycle: CycleId) -> None:
    newest = now.plan.event.cycle if now.plan else 0
    taken = {it.recorded.event.cycle for it in now.announced}
    following = max([newest, *taken]) + 1
    if cycle <= newest:
        raise AnnouncementRefused(
            f"--from-cycle {cycle}: cycle {newest} is planned already, with its rules; the next possible is"
            f" --from-cycle {_next(newest + 1, taken)}"
        )
    if cycle in taken:
        raise AnnouncementRefused(
            f"--from-cycle {cycle}: rules are announced for it already, and that stays; others can be announced for"
            f" a later one, for example --from-cycle {following}"
        )
    if len(to_come(now)) >= PENDING_MAX:
        raise AnnouncementRefused(
            f"{PENDING_MAX} announcements are to come already, and every cycle is scored under each of them; wait"
            " until one of them counts"
        )


def to_come(now: RulesNow) -> list[Announcement]:
    return [it for it in now.announced if it.standing is Standing.TO_COME]


def _next(cycle: int, taken: set[CycleId]) -> int:
    while cycle in taken:
        cycle += 1
    return cycle
