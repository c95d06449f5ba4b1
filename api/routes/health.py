"""Whether the parts are there. `/livez` asks for nothing outside, `/readyz` for everything."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.dependencies import All, Resources
from api.problems import Problem
from events.codec import CodecError
from events.discovery import DegradedCode
from events.log import LogError
from events.newest import discovery_trouble
from projectors.operations import ProjectionStatus, projection_statuses

router = APIRouter(tags=["health"])

DISCOVERY = "discovery"
MISSING = "it is not there yet: start a projector"


class ProjectionHealth(BaseModel):
    """One read model: where it stands, and why it stopped, if it has."""

    sequence: int
    lag: Annotated[int | None, Field(description="events behind the log; null while the log is away")]
    error: str | None


class DiscoveryHealth(BaseModel):
    """The chain cannot be read: since when, and why. Miners stay as they were, and no new cycle is planned."""

    since: datetime
    code: DegradedCode
    detail: str


class Health(BaseModel):
    """`degraded` names the parts that are not as they should be."""

    status: Literal["healthy", "degraded", "unhealthy"]
    database: Literal["connected", "unavailable"]
    log: Annotated[
        Literal["connected", "read-only", "unavailable"],
        Field(description="read-only: it answers, and takes no appends; is its disk full?"),
    ]
    projections: dict[str, ProjectionHealth]
    discovery: Annotated[DiscoveryHealth | None, Field(description="null while nothing is wrong, as far as is known")]
    degraded: list[str]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


@router.get("/livez")
async def livez() -> Alive:
    """The process is up; restarting it would not help with anything else."""
    return Alive()


@router.get("/health", responses={503: {"model": Health}})
async def health(resources: All, response: Response) -> Health:
    """503 while the database or the log is away."""
    found = await _look(resources)
    response.status_code = 503 if found.status == "unhealthy" else 200
    return found


@router.get("/readyz", responses={503: {"model": Health}})
async def readyz(resources: All, response: Response) -> Health:
    """503 also while the log takes no appends, or a projection has stopped or is too far behind.

    What there is can be served without the chain.
    """
    found = await _look(resources)
    response.status_code = 200 if set(found.degraded) <= {DISCOVERY} else 503
    return found


async def _look(resources: Resources) -> Health:
    end = await _log_end(resources)
    states = await _states(resources, end)
    projections = {
        state.name: ProjectionHealth(sequence=state.sequence, lag=state.lag, error=_error(state))
        for state in states or []
    }
    away = [name for name, found in (("database", states), ("log", end)) if found is None]
    behind = [f"projection {name}" for name, it in projections.items() if _is_bad(it, resources.settings.lag_max)]
    discovery = None if end is None else await _discovery(resources)
    read_only = end is not None and not resources.log.takes_appends
    degraded = (["log"] if read_only else []) + behind + ([DISCOVERY] if discovery else [])
    return Health(
        status="unhealthy" if away else "degraded" if degraded else "healthy",
        database="unavailable" if states is None else "connected",
        log="unavailable" if end is None else "read-only" if read_only else "connected",
        projections=projections,
        discovery=discovery,
        degraded=away + degraded,
    )


async def _log_end(resources: Resources) -> int | None:
    try:
        return await resources.log.last_sequence()
    except LogError:
        return None


async def _discovery(resources: Resources) -> DiscoveryHealth | None:
    try:
        found = await resources.log.ask(discovery_trouble)
    except (Problem, LogError, CodecError):
        return None
    return found and DiscoveryHealth(since=found.time, code=found.event.code, detail=found.event.detail)


async def _states(resources: Resources, end: int | None) -> list[ProjectionStatus] | None:
    try:
        return await resources.models.ask(lambda connection: projection_statuses(connection, end))
    except Problem:
        return None


def _error(state: ProjectionStatus) -> str | None:
    return MISSING if state.version is None else state.error


def _is_bad(projection: ProjectionHealth, lag_max: int) -> bool:
    return projection.error is not None or (projection.lag or 0) > lag_max
