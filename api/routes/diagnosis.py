"""What went wrong with a miner's policy, for its owner.

Each episode is public by itself, with code and detail: anybody can audit it. What is not handed to everybody is the
list that is made of them, of all that a policy stumbles over: to its owner it is what to mend, to others it would be
a plan of attack, and for a backend that answers anybody it would be a costly question.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from statistics import median
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.dependencies import Models
from api.owners import SEQUENCE_MAX, Owner
from api.problems import documented, not_found
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeForfeited, EpisodeOutcome
from events.ids import CycleId, Hotkey
from events.verification import OnFailure
from projectors.cycles import queries as cycles
from projectors.episodes import queries as episodes
from projectors.miners import file
from projectors.verifications import queries as verifications

router = APIRouter(prefix="/v1/miners", tags=["miners"])

EPISODES_MAX = 20_000
NAMED_MAX = 20
"""Of the episodes that failed in one way."""


class LastWord(BaseModel):
    """What discovery last said of the commitment."""

    kind: str
    time: datetime
    block: Annotated[int, Field(description="at which it was read")]
    commitment_block: int | None
    code: Annotated[str | None, Field(description="why it was rejected; null where it was not")]
    detail: Annotated[str | None, Field(description="what is wrong with it, and what to do")]


class FailedCheck(BaseModel):
    """The latest conclusive spot check, where it has failed. It may be of a cycle that still runs."""

    cycle_id: int
    since_cycle: Annotated[int, Field(description="from which on every conclusive check has failed")]
    reason: str
    detail: Annotated[str, Field(description="what was expected, what was found")]
    repo: str
    revision: Annotated[str, Field(description="as it was committed then")]
    score: Annotated[float | None, Field(description="how well the actions match, in [0, 1]")]
    samples: Annotated[str, Field(description="where every action that was compared is")]
    on_failure: Annotated[OnFailure | None, Field(description="what the rules of that cycle make of it")]
    remedy: str


class Failure(BaseModel):
    """Episodes that failed in the same way."""

    code: str
    detail: str
    count: int
    episodes: Annotated[list[str], Field(description=f"the first {NAMED_MAX}")]
    recordings: Annotated[list[str], Field(description="of those: where what was recorded is, as long as it is kept")]


class Latencies(BaseModel):
    """How long the policy took to answer, over the episodes in which it was called."""

    calls: int
    p50_ms: Annotated[float, Field(description="the median of the episodes' medians")]
    p50_max_ms: Annotated[float, Field(description="of the slowest episode")]
    max_ms: Annotated[float, Field(description="of all calls")]


class Diagnosis(BaseModel):
    """Of one cycle that has ended."""

    hotkey: str
    discovery: LastWord | None
    verification: Annotated[FailedCheck | None, Field(description="null where no failed spot check stands")]
    cycle_id: int
    uid: int
    completed: int
    succeeded: int
    forfeited: int
    abandoned: int
    latency: Latencies | None
    failures: Annotated[list[Failure], Field(description="the most frequent first")]


@router.get("/{hotkey}/diagnosis", responses=documented(401, 403, 404, 413, 422, 503))
async def diagnosis(
    hotkey: Owner,
    models: Models,
    response: Response,
    cycle: Annotated[
        int | None, Query(ge=1, lt=2**63, description="one that has ended; the newest if absent")
    ] = None,
) -> Diagnosis:
    """How a miner's policy failed, and how fast it answered: to be signed by the hotkey. Not of a running cycle."""
    response.headers["Cache-Control"] = "no-store"

    async def query(connection: AsyncConnection) -> Diagnosis:
        wanted = None if cycle is None else CycleId(cycle)
        if (ended := await file.last_ended(connection, hotkey, wanted)) is None:
            which = "any cycle" if cycle is None else f"cycle {cycle}"
            raise not_found("no-ended-cycle", f"{hotkey} was not in {which} that has ended")
        number, uid = ended
        said = await file.last_announced(connection, hotkey)
        found = await episodes.newest_of_miner(connection, number, uid, up_to=SEQUENCE_MAX, limit=EPISODES_MAX)
        outcomes = [each.event for each in found]
        return Diagnosis(
            hotkey=hotkey,
            discovery=None if said is None else LastWord.model_validate(said, from_attributes=True),
            verification=await _failed_check(connection, hotkey, said),
            cycle_id=number,
            uid=uid,
            completed=sum(isinstance(it, EpisodeCompleted) for it in outcomes),
            succeeded=sum(isinstance(it, EpisodeCompleted) and it.success for it in outcomes),
            forfeited=sum(isinstance(it, EpisodeForfeited) for it in outcomes),
            abandoned=sum(isinstance(it, EpisodeAbandoned) for it in outcomes),
            latency=latencies(outcomes),
            failures=failures(outcomes),
        )

    return await models.ask(query)


async def _failed_check(
    connection: AsyncConnection, hotkey: Hotkey, said: file.Announced | None
) -> FailedCheck | None:
    standing = (await verifications.standings(connection, [hotkey])).get(hotkey)
    if standing is None or standing.latest.outcome != "failed":
        return None
    failed = standing.latest
    plan = await cycles.plan(connection, failed.cycle) or {}
    terms = plan.get("verification") or {}
    return FailedCheck(
        cycle_id=failed.cycle,
        since_cycle=standing.since_cycle,
        reason=failed.reason or "",
        detail=failed.detail or "",
        repo=failed.repo,
        revision=failed.revision,
        score=failed.score,
        samples=f"/v1/cycles/{failed.cycle}/verifications/{failed.uid}",
        on_failure=terms.get("on_failure"),
        remedy=_remedy(failed, said),
    )


def _remedy(failed: verifications.Check, said: file.Announced | None) -> str:
    repo, revision = failed.repo, failed.revision
    if said is not None and said.repo is not None and said.revision is not None:
        repo, revision = said.repo, said.revision
    return (
        "serve the code that you have committed, or commit the code that you serve;"
        f" `kinitro verify {repo} {revision} ENDPOINT` checks it as we do."
        " You are checked in every cycle from now on, until a check passes"
    )


def failures(outcomes: Iterable[EpisodeOutcome]) -> list[Failure]:
    """By code and detail."""
    alike: dict[tuple[str, str], list[EpisodeForfeited | EpisodeAbandoned]] = {}
    for each in outcomes:
        if not isinstance(each, EpisodeCompleted):
            alike.setdefault((each.code.value, each.detail), []).append(each)
    found = [_failure(code, detail, sorted(each, key=lambda it: it.key)) for (code, detail), each in alike.items()]
    return sorted(found, key=lambda it: (-it.count, it.code, it.detail))


def _failure(code: str, detail: str, alike: list[EpisodeForfeited | EpisodeAbandoned]) -> Failure:
    named = alike[:NAMED_MAX]
    recorded = [each for each in named if isinstance(each, EpisodeForfeited) and each.evidence is not None]
    return Failure(
        code=code,
        detail=detail,
        count=len(alike),
        episodes=[each.key.id for each in named],
        recordings=[f"/v1/episodes/{each.key.id}/trace" for each in recorded],
    )


def latencies(outcomes: Iterable[EpisodeOutcome]) -> Latencies | None:
    """None where the policy was not called."""
    called = [it.latency for it in outcomes if not isinstance(it, EpisodeAbandoned) and it.latency.calls]
    if not called:
        return None
    return Latencies(
        calls=sum(it.calls for it in called),
        p50_ms=median(it.p50_ms for it in called),
        p50_max_ms=max(it.p50_ms for it in called),
        max_ms=max(it.max_ms for it in called),
    )
