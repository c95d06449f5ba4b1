"""Where the evaluation stands."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.dependencies import All
from api.problems import documented
from projectors.cycles import queries as cycles
from projectors.miners import queries as miners

router = APIRouter(prefix="/v1/status", tags=["status"])


class StatusAnswer(BaseModel):
    """A summary for dashboards. Cycles are named by their numbers; null where there is none."""

    status: Literal["evaluating", "waiting"]
    current_block: Annotated[int | None, Field(description="the newest block that any event names")]
    last_eval_block: Annotated[int | None, Field(description="of the plan of the last completed cycle")]
    next_eval_in_seconds: Annotated[
        float | None, Field(description="null while a cycle is running, and before the first")
    ]
    miners_registered: int
    environments_enabled: Annotated[list[str], Field(description="of the newest plan")]
    current_cycle: int | None
    last_completed_cycle: int | None
    total_cycles: int
    is_evaluating: bool


@router.get("", responses=documented(503))
async def status(resources: All) -> StatusAnswer:
    """What is going on, and what comes next."""

    async def query(connection: AsyncConnection) -> tuple[cycles.Overview, miners.Totals]:
        return await cycles.overview(connection), await miners.totals(connection)

    overview, totals = await resources.models.ask(query)
    evaluating = overview.current_cycle is not None
    return StatusAnswer(
        status="evaluating" if evaluating else "waiting",
        current_block=max(filter(None, (overview.latest_block, totals.latest_block)), default=None),
        last_eval_block=overview.last_completed_block,
        next_eval_in_seconds=None if evaluating else _next_eval_in_s(overview, resources),
        miners_registered=totals.registered,
        environments_enabled=list(overview.environments),
        current_cycle=overview.current_cycle,
        last_completed_cycle=overview.last_completed_cycle,
        total_cycles=overview.total_cycles,
        is_evaluating=evaluating,
    )


def _next_eval_in_s(overview: cycles.Overview, resources: All) -> float | None:
    if overview.last_planned_at is None:
        return None
    due = overview.last_planned_at + timedelta(seconds=resources.settings.eval_interval_s)
    return max(0.0, (due - resources.clock()).total_seconds())
