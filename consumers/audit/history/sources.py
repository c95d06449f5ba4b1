"""The history of a log, or of anybody's API, checked as it comes.

NoHistory (CannotAudit, consumers/audit/case.py)    no cycle has ended yet
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar, cast

import aiohttp
from pydantic import BaseModel, ValidationError

from consumers.audit.anchors import ChainOptions, recorded_anchors
from consumers.audit.case import CannotAudit, SourceAway
from consumers.audit.history.anchored import Anchored, compared, recorded_roots
from consumers.audit.history.checks import FromEnds, FromProofs, HistoryAudit, HistoryDiffers, Kept, check_keys
from consumers.audit.history.suspensions import Suspensions
from events import subjects
from events.anchors import RootAnchored
from events.bars import Tell, placed, silent
from events.codec import decode, decode_as
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed
from events.ids import CycleId, Hotkey
from events.log import EventLog, Stored
from events.public_api import NoAnswer, ask
from events.signed import KeyAnnounced, RootSigned, Signature
from events.verification import VerificationFailed, VerificationPassed

ANSWER_BYTES_MAX = 16 * 1024 * 1024
_OF_HISTORY = (subjects.PLANS, subjects.VERIFICATIONS, subjects.SEALS, subjects.SIGNED_ROOTS)


class NoHistory(CannotAudit):
    """No cycle has ended yet."""


async def audit_log(
    log: EventLog,
    pinned: Hotkey | None,
    kept: Kept | None,
    chain: ChainOptions | None = None,
    tell: Tell = silent,
) -> HistoryAudit:
    """The history of a log, computed again from the events that ended its cycles; what it says of anchors, too.

    And whether its plans suspend exactly those whose latest conclusive spot check failed.

    Raises:
        NoHistory: no cycle has ended, and none was kept.
        Misused: the chain is not said in full.
        ChainTrouble: it cannot be read now.
        CodecError, LogUnavailable: an event cannot be read.
    """
    if kept is None and await log.last(subjects.seal(CycleId(1))) is None:
        raise NoHistory("no cycle has ended yet; wait for `kinitro cycle list` to show one that has")
    try:
        announced = [decode_as(KeyAnnounced, stored).event async for stored in _all(log, subjects.IDENTITY)]
        recorded = await recorded_anchors(log)
        anchored = await on_chain(chain, recorded)
        fold = FromEnds(check_keys(announced, pinned), kept, (*recorded_roots(recorded), *anchored.roots))
        suspensions = Suspensions()
        events = _all(log, _OF_HISTORY)
        async for stored in placed(events, tell, lambda it: it.sequence, await log.last_sequence()):
            match decode(stored).event:
                case CyclePlanned() as plan:
                    fold.planned(plan)
                    suspensions.planned(plan)
                case CycleSealed() | CycleAbandoned() as end:
                    fold.end(end, stored.body)
                case RootSigned() as signed:
                    fold.signed(signed)
                case VerificationPassed() | VerificationFailed() as check:
                    suspensions.checked(check)
        return replace(fold.concluded(), notes=anchored.notes)
    except HistoryDiffers as error:
        return different(error, kept)


async def on_chain(options: ChainOptions | None, recorded: Sequence[RootAnchored]) -> Anchored:
    """What the chain has, where one was named.

    Raises:
        HistoryDiffers: not what was recorded.
        Misused: it is not said in full.
        ChainTrouble: it cannot be read now.
    """
    chain = None if options is None else options.wanted(recorded[-1] if recorded else None)
    if chain is None:
        return Anchored()
    try:
        return await compared(chain, recorded)
    finally:
        await chain.close()


async def _all(log: EventLog, subject: str | tuple[str, ...]) -> Any:
    async with aclosing(cast("Any", log.read(subject=subject))) as batches:
        async for batch in batches:
            for stored in cast("list[Stored]", batch):
                yield stored


def different(error: HistoryDiffers, kept: Kept | None) -> HistoryAudit:
    first = kept.cycle if kept else 1
    return HistoryAudit(first, first - 1, 0, None, None, error.difference)


class _Signed(BaseModel):
    statement: str
    key: Hotkey
    signature: str

    def sealed(self) -> Signature:
        return Signature(key=self.key, signature=self.signature)


class _Announced(_Signed):
    ordinal: int
    previous: Signature | None


class _Identity(BaseModel):
    announcements: list[_Announced]


class _Consistency(BaseModel):
    root: str
    proof: list[str]


A = TypeVar("A", bound=BaseModel)


class ApiHistory:
    """`GET /v1/identity`, `/v1/cycles/{id}/root` and `/v1/cycles/{id}/root/consistency`: two requests a cycle."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session, self._base_url = session, base_url.rstrip("/")

    async def audit(
        self, pinned: Hotkey | None, kept: Kept | None, chain: ChainOptions | None = None, tell: Tell = silent
    ) -> HistoryAudit:
        """The history by proofs, from the kept root on.

        Raises:
            Misused: the chain is not said in full.
            ChainTrouble: it cannot be read now.
            NoHistory: the backend has announced no key, so it has signed nothing.
            SourceAway: no answer, or not one of our API.
        """
        identity = await self._get("/v1/identity", _Identity)
        if identity is None and kept is None:
            raise NoHistory(f"{self._base_url} knows of no key, so nothing is signed yet")
        try:
            keys = check_keys(_announced(identity), pinned)
            anchored = await on_chain(chain, ())
            fold = FromProofs(keys, kept, anchored.roots)
            while (signed := await self._root(fold.last + 1)) is not None:
                held = await self._held(fold.last + 1, fold.since)
                fold.signed(signed, held.root, held.proof)
                tell(fold.last, None)
            fold.unsigned(await self._root(fold.last + 2))
            return replace(fold.concluded(await self._ended(fold.last + 1)), notes=anchored.notes)
        except HistoryDiffers as error:
            return different(error, kept)

    async def _root(self, cycle: int) -> RootSigned | None:
        found = await self._get(f"/v1/cycles/{cycle}/root", _Signed)
        if found is None:
            return None
        return RootSigned(cycle=CycleId(cycle), statement=found.statement, signature=found.sealed())

    async def _held(self, cycle: int, since: int) -> _Consistency:
        found = await self._get(f"/v1/cycles/{cycle}/root/consistency?since={since}", _Consistency)
        if found is None:
            raise HistoryDiffers(f"cycle {cycle}", "its end, which is signed", "none")
        return found

    async def _ended(self, cycle: int) -> int:
        """1 where this cycle has ended, though it is not signed."""
        return int(await self._get(f"/v1/cycles/{cycle}/root/consistency?since={cycle}", _Consistency) is not None)

    async def _get(self, path: str, kind: type[A]) -> A | None:
        """The answer; None where there is no such thing, or not yet."""
        try:
            answer = await ask(self._session, f"{self._base_url}{path}", bytes_max=ANSWER_BYTES_MAX)
            if answer.status == 200:
                return kind.model_validate_json(answer.body)
        except (NoAnswer, ValidationError) as error:
            reason = str(error) if isinstance(error, NoAnswer) else answer.refusal
            raise SourceAway(reason) from error
        if answer.status in (404, 409) and answer.problem is not None:
            return None
        raise SourceAway(answer.refusal)


def _announced(identity: _Identity | None) -> list[KeyAnnounced]:
    try:
        return [
            KeyAnnounced(ordinal=it.ordinal, statement=it.statement, signature=it.sealed(), previous=it.previous)
            for it in (identity.announcements if identity else [])
        ]
    except ValidationError as error:
        raise HistoryDiffers("the keys", "announcements", str(error)) from error
