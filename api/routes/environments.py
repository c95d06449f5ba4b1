"""On what miners are evaluated."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.dependencies import Models
from api.problems import documented
from events.ids import split_env_id
from projectors.cycles import queries

router = APIRouter(prefix="/v1/environments", tags=["environments"])


class Environment(BaseModel):
    """One environment, with the episodes of all cycles so far."""

    id: Annotated[str, Field(examples=["metaworld/push-v3"])]
    family: str
    task: str
    enabled: Annotated[bool, Field(description="part of the newest plan")]
    first_cycle: int
    last_cycle: int
    completed: int
    successful: int
    forfeited: int
    abandoned: int


class EnvironmentsAnswer(BaseModel):
    """Every environment that was ever part of a plan."""

    environments: list[Environment]


@router.get("", responses=documented(503))
async def environments(models: Models) -> EnvironmentsAnswer:
    """The environments, in the order of their ids."""
    return EnvironmentsAnswer(environments=[_environment(each) for each in await models.ask(queries.environments)])


def _environment(summary: queries.EnvironmentSummary) -> Environment:
    family, task = split_env_id(summary.env)
    return Environment(
        id=summary.env,
        family=family,
        task=task,
        enabled=summary.enabled,
        first_cycle=summary.first_cycle,
        last_cycle=summary.last_cycle,
        completed=summary.counts.completed,
        successful=summary.counts.successful,
        forfeited=summary.counts.forfeited,
        abandoned=summary.counts.abandoned,
    )
