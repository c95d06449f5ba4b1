"""A miner's file: every decision about one hotkey."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import Part
from api.as_of import HEADER
from api.dependencies import Models
from api.http.pages import Paged
from api.problems import documented, not_found
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeForfeited
from events.ids import TOKEN, Hotkey
from projectors.checkpoint import seen_by_all
from projectors.cycles.tables import NAME as CYCLES
from projectors.episodes.tables import NAME as EPISODES
from projectors.miners import file
from projectors.miners.file import Announced, Decision, Planned, Weighed
from projectors.miners.tables import NAME as MINERS
from projectors.verifications.queries import Check
from projectors.verifications.tables import NAME as VERIFICATIONS
from projectors.weights.tables import NAME as WEIGHTS

router = APIRouter(prefix="/v1/miners", tags=["miners"])

SOURCES = (MINERS, CYCLES, EPISODES, VERIFICATIONS, WEIGHTS)


class Entry(Part):
    """One event that decided something about the miner. What does not apply to its kind is null."""

    sequence: Annotated[int, Field(description="of the event in the log")]
    time: datetime
    kind: Literal[
        "discovered",
        "commitment_changed",
        "commitment_rejected",
        "departed",
        "planned",
        "completed",
        "forfeited",
        "abandoned",
        "verification_passed",
        "verification_failed",
        "verification_inconclusive",
        "weights_computed",
        "weights_withheld",
    ]
    uid: Annotated[int, Field(description="the slot that the hotkey held then")]
    block: Annotated[int | None, Field(description="at which a miner was seen, or a cycle planned")] = None
    repo: str | None = None
    revision: str | None = None
    endpoint: Annotated[str | None, Field(description="null also where it was committed encrypted")] = None
    commitment_block: int | None = None
    cycle_id: int | None = None
    episode_id: str | None = None
    env: str | None = None
    index: int | None = None
    success: bool | None = None
    code: Annotated[
        str | None,
        Field(
            description="why it was forfeited or abandoned, a spot check did not pass, no weights were given, or a"
            " commitment was rejected"
        ),
    ] = None
    detail: str | None = None
    on_frontier: bool | None = None
    points: str | None = None
    weight: Annotated[str | None, Field(description="the exact decimal")] = None
    moved: Annotated[bool | None, Field(description="no weight: it no longer held its uid")] = None
    unverified: Annotated[bool | None, Field(description="no weight: it failed a spot check")] = None

    @classmethod
    def of(cls, decision: Decision) -> Entry:
        match decision:
            case Announced():
                return cls.model_validate(decision)
            case Planned():
                return cls(kind="planned", cycle_id=decision.cycle, **_common(decision), block=decision.block)
            case Check():
                return cls._checked(decision)
            case Weighed():
                return cls._weighed(decision)
            case _:
                return cls._outcome(decision.sequence, decision.time, decision.event)

    @classmethod
    def _checked(cls, decision: Check) -> Entry:
        return cls(
            kind=f"verification_{decision.outcome}",
            **_common(decision),
            repo=decision.repo,
            revision=decision.revision,
            cycle_id=decision.cycle,
            code=decision.reason,
            detail=decision.detail,
        )

    @classmethod
    def _weighed(cls, decision: Weighed) -> Entry:
        return cls(
            kind="weights_withheld" if decision.reason else "weights_computed",
            **_common(decision),
            block=decision.block,
            cycle_id=decision.cycle,
            code=decision.reason,
            detail=decision.detail,
            on_frontier=decision.on_frontier,
            points=decision.points,
            weight=decision.weight,
            moved=decision.moved,
            unverified=decision.unverified,
        )

    @classmethod
    def _outcome(
        cls, sequence: int, time: datetime, event: EpisodeCompleted | EpisodeForfeited | EpisodeAbandoned
    ) -> Entry:
        entry = cls(
            sequence=sequence,
            time=time,
            kind="completed",
            uid=event.uid,
            cycle_id=event.cycle,
            episode_id=event.key.id,
            env=event.env,
            index=event.index,
        )
        match event:
            case EpisodeCompleted():
                return entry.model_copy(update={"success": event.success})
            case EpisodeForfeited():
                more = {"kind": "forfeited", "success": False, "code": event.code.value, "detail": event.detail}
            case EpisodeAbandoned():
                more = {"kind": "abandoned", "code": event.code.value, "detail": event.detail}
        return entry.model_copy(update=more)


class HistoryPage(BaseModel):
    """Decisions, newest first. A page stays what it is, whatever happens later."""

    history: list[Entry]
    next_cursor: Annotated[str | None, Field(description="for the next page; null at the end")]


@router.get("/{hotkey}/history", responses=documented(404, 422, 503))
async def history(
    hotkey: Annotated[Hotkey, Path(pattern=rf"^{TOKEN.pattern}$")],
    models: Models,
    pages: Paged,
    limit: Annotated[int, Query(ge=1, le=500, description="how many at most")] = 100,
    cursor: Annotated[int | None, Query(ge=1, lt=2**63, description="`next_cursor` of the page before")] = None,
) -> HistoryPage:
    """All that was decided about a hotkey: commitments, plans, outcomes, spot checks, weights; the newest first.

    The header `Kinitro-Sequence` names the newest event that was looked at.
    """

    async def query(connection: AsyncConnection) -> tuple[int, list[Decision]]:
        seen = await seen_by_all(connection, SOURCES)
        up_to = seen if cursor is None else min(seen, cursor - 1)
        if not await file.is_known(connection, hotkey, up_to=seen):
            raise not_found("unknown-miner", f"no event up to sequence {seen} names a miner {hotkey}")
        return seen, await file.newest(connection, hotkey, up_to=up_to, limit=limit + 1)

    seen, found = await models.ask(query)
    pages.response.headers[HEADER] = str(seen)
    page = found[:limit]
    following = str(page[-1].sequence) if len(found) > limit else None
    pages.link("cursor", following)
    return HistoryPage(history=[Entry.of(each) for each in page], next_cursor=following)


def _common(decision: Planned | Check | Weighed) -> dict[str, object]:
    return {"sequence": decision.sequence, "time": decision.time, "uid": decision.uid}
