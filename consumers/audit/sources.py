"""Where the case of an episode comes from: the log itself, or anybody's API. Both give the same."""

from __future__ import annotations

from typing import Any, Protocol

import aiohttp
import orjson
from pydantic import ValidationError

from consumers.audit.case import (
    CannotAudit,
    Case,
    Claim,
    NeverRan,
    NoSuchEpisode,
    NotYetPublic,
    SourceAway,
    TraceGone,
    check_planned,
    claim_of,
)
from events import subjects
from events.codec import decode
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed, CycleSeeded
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeForfeited
from events.event import Event
from events.ids import EpisodeKey
from events.log import EventLog
from events.public_api import Answer, NoAnswer, ask
from events.traces import TraceStore, TracesUnavailable

ANSWER_BYTES_MAX = 64 * 1024 * 1024

Document = dict[str, Any]


class Source(Protocol):
    """Gives cases to audit."""

    async def case(self, key: EpisodeKey) -> Case:
        """All that is known about an episode.

        Raises:
            CannotAudit: which kind says why.
        """
        ...


class LogSource:
    """The log and the recordings beside it."""

    def __init__(self, log: EventLog, traces: TraceStore) -> None:
        self._log, self._traces = log, traces

    async def case(self, key: EpisodeKey) -> Case:
        plan = await self._event(subjects.plan(key.cycle))
        if not isinstance(plan, CyclePlanned):
            raise NoSuchEpisode(f"there is no cycle {key.cycle}; see `kinitro cycle list`")
        check_planned(plan, key)
        seed = await self._event(subjects.seed(key.cycle))
        end = await self._event(subjects.seal(key.cycle))
        if not isinstance(end, CycleSealed | CycleAbandoned) or not isinstance(seed, CycleSeeded):
            raise not_yet_public(key)
        claim = _claim(key, await self._event(subjects.outcome(key)))
        return Case(
            key=key,
            plan=plan,
            block_hash=seed.block_hash,
            secret=end.secret,
            claim=claim,
            recording=await self._recording(key, claim),
        )

    async def _recording(self, key: EpisodeKey, claim: Claim) -> bytes:
        try:
            body = await self._traces.fetch(key, claim.attempt, claim.evidence.action_digest)
        except TracesUnavailable as error:
            raise SourceAway(f"the recording could not be fetched: {error}") from error
        if body is None:
            kept = await self._traces.age_hours_max()
            raise TraceGone(
                f"there is no recording of episode {key.id}: "
                + (f"they are kept for {kept:g} h, or until newer ones need the room" if kept else "none are kept")
            )
        return body

    async def _event(self, subject: str) -> Event | None:
        stored = await self._log.last(subject)
        return decode(stored).event if stored else None


class ApiSource:
    """A public API: needs no access to the log. What it says is checked all the same."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session, self._base_url = session, base_url.rstrip("/")

    async def case(self, key: EpisodeKey) -> Case:
        try:
            return await self._case(key)
        except (ValidationError, KeyError, TypeError) as error:
            raise SourceAway(
                f"{self._base_url} answers in another form than this version expects: {error!r}"
            ) from error

    async def _case(self, key: EpisodeKey) -> Case:
        cycle = _document(await self._get(f"/v1/cycles/{key.cycle}"))
        plan = CyclePlanned.model_validate(cycle["plan"])
        check_planned(plan, key)
        if cycle["seal"] is None or cycle["seed"] is None:
            raise not_yet_public(key)
        outcome = _outcome(_document(await self._get(f"/v1/episodes/{key.id}")))
        return Case(
            key=key,
            plan=plan,
            block_hash=cycle["seed"]["block_hash"],
            secret=cycle["seal"]["secret"],
            claim=_claim(key, outcome),
            recording=await self._get(f"/v1/episodes/{key.id}/trace"),
        )

    async def _get(self, path: str) -> bytes:
        try:
            answer = await ask(self._session, f"{self._base_url}{path}", bytes_max=ANSWER_BYTES_MAX)
        except NoAnswer as error:
            raise SourceAway(str(error)) from error
        if answer.status == 200:
            return answer.body
        raise _refusal(answer)


def not_yet_public(key: EpisodeKey) -> NotYetPublic:
    return NotYetPublic(
        f"cycle {key.cycle} has not ended: until then its seeds and recordings are secret, because other miners may"
        f" still have the same episodes before them; wait for `kinitro cycle show {key.cycle}` to say that it has"
    )


def _claim(key: EpisodeKey, outcome: Event | None) -> Claim:
    if isinstance(outcome, EpisodeAbandoned):
        raise NeverRan(f"episode {key.id} was abandoned ({outcome.code}), it counts for nobody: {outcome.detail}")
    if not isinstance(outcome, EpisodeCompleted | EpisodeForfeited):
        raise NeverRan(f"episode {key.id} has no outcome")
    return claim_of(outcome)


def _outcome(answer: Document) -> Event | None:
    """The event that an episode's answer was made from, as far as it can be told from it."""
    kinds: dict[str, tuple[type[Event], str]] = {
        "completed": (EpisodeCompleted, "attempt"),
        "forfeited": (EpisodeForfeited, "attempt"),
        "abandoned": (EpisodeAbandoned, "attempts"),
    }
    if answer["status"] not in kinds:
        return None
    kind, attempts = kinds[answer["status"]]
    fields = answer | {"cycle": answer["cycle_id"], attempts: answer["attempts_made"]}
    return kind.model_validate({name: fields[name] for name in kind.model_fields})


def _document(body: bytes) -> Document:
    try:
        document: Document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise SourceAway(f"the API answered with something other than JSON ({error}); is --api-url right?") from error
    return document


def _refusal(answer: Answer) -> CannotAudit:
    """What a problem of the API means here."""
    problem = answer.problem
    match problem and problem.kind:
        case "unknown-cycle" | "unknown-episode":
            kind: type[CannotAudit] = NoSuchEpisode
        case "trace-not-yet-public":
            kind = NotYetPublic
        case "trace-gone":
            kind = TraceGone
        case "no-trace":
            kind = NeverRan
        case _:
            return SourceAway(answer.refusal)
    return kind(problem.detail if problem else "")
