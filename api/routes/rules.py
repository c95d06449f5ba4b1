"""The scoring rules: in force, announced, and what those to come would have given. Read from the log itself."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.dependencies import Log
from api.problems import documented, not_found
from api.routes.cycles import CyclePath
from events import subjects
from events.announced_rules import Announcement, RulesNow, rules_now
from events.codec import decode_as
from events.envelope import RecordedEvent
from events.ids import CycleId
from events.log import EventLog
from events.rule_changes import ShadowScored
from events.rules import ScoringRules

router = APIRouter(prefix="/v1", tags=["rules"])


class AnnouncedRules(BaseModel):
    """Rules and the cycle from which they count."""

    from_cycle: Annotated[int, Field(description="as it was announced")]
    counts_from: Annotated[int, Field(description="later where that cycle had been planned before")]
    state: Literal["to come", "in force", "past"]
    rules: ScoringRules
    note: str | None
    announced_at: datetime
    event_id: str
    sequence: int

    @classmethod
    def of(cls, it: Announcement) -> AnnouncedRules:
        event = it.recorded.event
        return cls(
            from_cycle=event.cycle,
            counts_from=it.counts_from,
            state=it.standing.value,
            rules=event.rules,
            note=event.note,
            announced_at=it.recorded.time,
            event_id=it.recorded.id,
            sequence=it.recorded.sequence,
        )


class RulesAnswer(BaseModel):
    """Which rules count, and which will."""

    cycle_id: Annotated[int | None, Field(description="the newest that is planned")]
    in_force: Annotated[ScoringRules | None, Field(description="those of its plan")]
    announced_from: Annotated[int | None, Field(description="the cycle of the announcement that they come from")]
    announced: Annotated[list[AnnouncedRules], Field(description="all announcements, by the cycle they name")]

    @classmethod
    def of(cls, now: RulesNow) -> RulesAnswer:
        announced = [AnnouncedRules.of(it) for it in now.announced]
        return cls(
            cycle_id=now.plan.event.cycle if now.plan else None,
            in_force=now.plan.event.rules if now.plan else None,
            announced_from=next((it.from_cycle for it in announced if it.state == "in force"), None),
            announced=announced,
        )


class ShadowStanding(BaseModel):
    """What a miner would have had."""

    uid: int
    hotkey: str
    on_frontier: bool
    points: Annotated[str, Field(description="an exact integer")]
    weight: Annotated[str, Field(description="the exact decimal that the event holds")]
    u16: int


class ShadowWithheld(BaseModel):
    """Why there would have been no weights."""

    reason: str
    detail: str


class Shadow(BaseModel):
    """The cycle under rules that did not count yet."""

    rules_from_cycle: int
    withheld: ShadowWithheld | None
    standings: list[ShadowStanding]
    epsilons: dict[str, str]
    created_at: datetime
    event_id: str
    sequence: int

    @classmethod
    def of(cls, recorded: RecordedEvent[ShadowScored]) -> Shadow:
        event = recorded.event
        whole = event.weights_u16
        u16 = dict(zip(whole.uids, whole.values, strict=True)) if whole else {}
        return cls(
            rules_from_cycle=event.rules_from_cycle,
            withheld=ShadowWithheld(**event.withheld.model_dump(mode="json")) if event.withheld else None,
            standings=[
                ShadowStanding(
                    uid=it.uid,
                    hotkey=it.hotkey,
                    on_frontier=it.on_frontier,
                    points=it.points,
                    weight=it.weight,
                    u16=u16.get(it.uid, 0),
                )
                for it in event.standings
            ],
            epsilons=dict(event.epsilons),
            created_at=recorded.time,
            event_id=recorded.id,
            sequence=recorded.sequence,
        )


class ShadowAnswer(BaseModel):
    """What rules to come would have given in a cycle. Nobody is paid by it."""

    cycle_id: int
    shadows: Annotated[list[Shadow], Field(description="by the cycle from which the rules count; may be empty")]


@router.get("/rules", responses=documented(503))
async def rules(log: Log) -> RulesAnswer:
    """The rules in force, and all that were announced."""
    return RulesAnswer.of(await log.ask(rules_now))


@router.get("/weights/{cycle_id}/shadow", responses=documented(404, 422, 503))
async def shadow(cycle_id: CyclePath, log: Log) -> ShadowAnswer:
    """What announced rules would have given in a cycle; by cycle, not by block."""
    found = await log.ask(lambda events: _shadows(events, cycle_id))
    return ShadowAnswer(cycle_id=cycle_id, shadows=[Shadow.of(it) for it in found])


async def _shadows(events: EventLog, cycle: CycleId) -> list[RecordedEvent[ShadowScored]]:
    if await events.last(subjects.weights(cycle)) is None:
        if await events.last(subjects.plan(cycle)) is None:
            raise not_found("unknown-cycle", f"there is no cycle {cycle}")
        raise not_found("no-weights", f"cycle {cycle} is not scored yet: its status says how far it is")
    found = [
        decode_as(ShadowScored, stored)
        async for batch in events.read(subject=subjects.shadows(cycle))
        for stored in batch
    ]
    return sorted(found, key=lambda it: it.event.rules_from_cycle)
