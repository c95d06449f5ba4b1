"""Single episodes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.dependencies import Log, Models
from api.http.caching import for_good
from api.problems import Problem, documented, not_found
from api.sources import LogWatch, ReadModels
from events.envelope import RecordedEvent
from events.episodes import (
    EpisodeAbandoned,
    EpisodeAttemptFailed,
    EpisodeCompleted,
    EpisodeForfeited,
    EpisodeOutcome,
    ForfeitCode,
)
from events.ids import EpisodeKey, Hotkey
from projectors.cycles import queries as cycles
from projectors.episodes import queries

router = APIRouter(prefix="/v1/episodes", tags=["episodes"])


class Latency(BaseModel):
    """How long the policy took to answer."""

    calls: int
    p50_ms: float
    max_ms: float


class EpisodeEvidence(BaseModel):
    """Digests are SHA-256 in hex; `kinitro audit episode` says how each is made, and compares them."""

    action_digest: str
    final_state_digest: str
    variation_digest: Annotated[str, Field(description="what the seed drew stays unknown until the cycle has ended")]
    versions: dict[str, str]
    machine: str


class Episode(BaseModel):
    """One episode. What does not apply to its status is null."""

    id: Annotated[str, Field(description="cycle.uid.family.task.index", examples=["42.7.metaworld.push-v3.0"])]
    cycle_id: int
    uid: int
    hotkey: str
    env: str
    index: int
    status: Literal["pending", "completed", "forfeited", "abandoned"]
    success: bool | None = None
    code: Annotated[str | None, Field(description="why it was forfeited or abandoned")] = None
    detail: str | None = None
    total_reward: float | None = None
    steps: int | None = None
    terminated: bool | None = None
    truncated: bool | None = None
    evidence: Annotated[
        EpisodeEvidence | None, Field(description="what a second simulation of the episode must agree with")
    ] = None
    latency: Latency | None = None
    duration_s: float | None = None
    worker: str | None = None
    attempts_made: int
    ended_at: datetime | None = None
    event_id: str | None = None
    sequence: Annotated[int | None, Field(description="of the outcome in the log")] = None

    @classmethod
    def pending(cls, key: EpisodeKey, hotkey: Hotkey, attempts_made: int) -> Episode:
        return cls(
            id=key.id,
            cycle_id=key.cycle,
            uid=key.uid,
            hotkey=hotkey,
            env=key.env,
            index=key.index,
            status="pending",
            attempts_made=attempts_made,
        )

    @classmethod
    def of(cls, recorded: RecordedEvent[EpisodeOutcome]) -> Episode:
        event = recorded.event
        common = {
            "id": event.key.id,
            "cycle_id": event.cycle,
            "uid": event.uid,
            "hotkey": event.hotkey,
            "env": event.env,
            "index": event.index,
            "ended_at": recorded.time,
            "event_id": recorded.id,
            "sequence": recorded.sequence,
        }
        more = event.model_dump(include={*cls.model_fields} - {*common})
        match event:
            case EpisodeCompleted(attempt=attempt):
                return cls(status="completed", attempts_made=attempt, **common, **more)
            case EpisodeForfeited(attempt=attempt, code=ForfeitCode.GIVEN_UP):
                return cls(status="forfeited", attempts_made=attempt - 1, **common, **more)  # it was not run
            case EpisodeForfeited(attempt=attempt):
                return cls(status="forfeited", attempts_made=attempt, **common, **more)
            case EpisodeAbandoned(attempts=attempts):
                return cls(status="abandoned", attempts_made=attempts, **common, **more)


class Attempt(BaseModel):
    """One attempt in which we failed, not the policy."""

    attempt: int
    code: str
    detail: str
    worker: str
    failed_at: datetime
    event_id: str
    sequence: int

    @classmethod
    def of(cls, recorded: RecordedEvent[EpisodeAttemptFailed]) -> Attempt:
        return cls(
            attempt=recorded.event.attempt,
            code=recorded.event.code,
            detail=recorded.event.detail,
            worker=recorded.event.worker,
            failed_at=recorded.time,
            event_id=recorded.id,
            sequence=recorded.sequence,
        )


class EpisodeAnswer(Episode):
    """One planned episode; pending while it has not ended."""

    attempts: Annotated[list[Attempt], Field(description="those that failed, in order")]


@router.get("/{episode_id}", responses=documented(404, 503))
async def episode(episode_id: Annotated[str, Path(max_length=200)], models: Models) -> EpisodeAnswer:
    """One episode with its outcome and its failed attempts."""
    key = episode_key(episode_id)

    async def query(connection: AsyncConnection) -> tuple[Episode, list[Attempt]]:
        failed = [Attempt.of(each) for each in await queries.failed_attempts(connection, key)]
        if outcome := await queries.outcome(connection, key):
            return Episode.of(outcome), failed
        hotkey = await cycles.planned_hotkey(connection, key)
        if hotkey is None:
            raise not_found("unknown-episode", f"no plan holds an episode {episode_id}")
        return Episode.pending(key, hotkey, len(failed)), failed

    found, failed = await models.ask(query)
    return EpisodeAnswer(**dict(found), attempts=failed)


RECORDING = "application/octet-stream"


@router.get(
    "/{episode_id}/trace",
    responses={200: {"content": {RECORDING: {}}}, **documented(404, 409, 503)},
    response_class=Response,
)
async def trace(episode_id: Annotated[str, Path(max_length=200)], models: Models, log: Log) -> Response:
    """The recording of one episode, as `sim/record.py` describes it, once its cycle has ended.

    Before that other miners may have the same episode before them. Recordings are kept for some days.
    """
    answer = Response(await recording(episode_id, models, log), media_type=RECORDING)
    for_good(answer)
    return answer


async def recording(episode_id: str, models: ReadModels, log: LogWatch) -> bytes:
    """The recording of an episode whose cycle has ended.

    Raises:
        Problem: there is none, or not yet.
    """
    key = episode_key(episode_id)
    attempt, action_digest = await models.ask(lambda connection: _recorded(connection, key))
    found = await log.recording(key, attempt, action_digest)
    if found.body is None:
        kept = f"kept for {found.kept_hours:g} h, as room allows" if found.kept_hours else "not kept here"
        raise not_found("trace-gone", f"there is no recording of episode {episode_id}: recordings are {kept}")
    return found.body


async def _recorded(connection: AsyncConnection, key: EpisodeKey) -> tuple[int, str]:
    """Which attempt's recording is that of the outcome, and the digest of its actions."""
    if await cycles.planned_hotkey(connection, key) is None:
        raise not_found("unknown-episode", f"no plan holds an episode {key.id}")
    if not await cycles.has_ended(connection, key.cycle):
        detail = f"cycle {key.cycle} has not ended: until then other miners may have this episode before them"
        raise Problem(409, "trace-not-yet-public", "Not yet public", detail)
    outcome = await queries.outcome(connection, key)
    event = outcome.event if outcome else None
    if not isinstance(event, EpisodeCompleted | EpisodeForfeited) or event.evidence is None:
        raise not_found("no-trace", f"episode {key.id} was not run, or leaves no evidence; its outcome says why")
    return event.attempt, event.evidence.action_digest


def episode_key(text: str) -> EpisodeKey:
    """The key in a path.

    Raises:
        Problem: it can be nobody's id.
    """
    try:
        key = EpisodeKey.parse(text)
    except ValueError as error:
        raise not_found("unknown-episode", str(error)) from error
    if key.id != text or key.cycle >= 2**63 or key.uid > 65535 or key.index >= 2**31:
        raise not_found("unknown-episode", f"no plan holds an episode {text}")
    return key
