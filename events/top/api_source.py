"""Events from anybody's API: a snapshot of the newest cycle, then the stream, resumed wherever it broke off.

Away    it does not answer now; it is asked again
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

import aiohttp
import orjson

from events.codec import MalformedEvent, decode, told
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed
from events.envelope import RecordedEvent
from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited
from events.event import Event
from events.export_api import ApiTrouble, lines
from events.ids import EnvId, Uid
from events.log import Stored
from events.patience import Patience
from events.progress import Cell
from events.public_api import Answer, ask, refused
from events.top.sources import Piece
from events.top.sse import Message, Messages
from events.top.watched import Snapshot
from events.weights import WeightsComputed, WeightsWithheld

ANSWER_BYTES_MAX = 32 * 1024 * 1024
"""Tallies of 256 miners on 50 environments are 1.5 MB."""

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=45)
"""A stream has no end, but a heartbeat each 15 s."""

TYPES = (
    CyclePlanned,
    CycleSealed,
    CycleAbandoned,
    EpisodeCompleted,
    EpisodeForfeited,
    EpisodeAbandoned,
    EpisodeAttemptFailed,
    WeightsComputed,
    WeightsWithheld,
)
"""What is asked for: all that is shown."""

ENDED = "kinitro.stream.ended"
FOR_GOOD = {"log-damaged", "event-unreadable", "beyond-the-log"}
"""Kinds of problems that do not pass by themselves."""

PASSING = {429, 500, 502, 503, 504}
"""Statuses of answers that another time may be others."""


class Away(Exception):
    """It does not answer now."""


class ApiSource:
    """An API, which may restart, or be several."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session, self._base_url = session, base_url
        self.where = base_url
        self.connected = False

    async def follow(self) -> AsyncGenerator[Piece, None]:
        snapshot, position = await self._begin()
        if snapshot is not None:
            yield snapshot
        patience = Patience(math.inf)
        while True:
            try:
                async for message in self.messages(position):
                    position, recorded = _event(message)
                    patience = Patience(math.inf)
                    yield [recorded]
            except Away:
                self.connected = False
                await patience.pause()

    async def _begin(self) -> tuple[Snapshot | None, int]:
        """The newest cycle as it stands, and after which sequence to go on.

        Raises:
            NoAnswer, ApiTrouble: the API is not there, or not ours.
        """
        status = await self._ask("/v1/status")
        number = status.get("current_cycle") or status.get("last_completed_cycle")
        if number is None:
            return None, 0
        tallies = await self._ask(f"/v1/cycles/{number}/tallies")
        cycle = await self._ask(f"/v1/cycles/{number}?at_seq={tallies['sequence']}")
        try:
            snapshot = _snapshot(tallies, cycle)
        except (KeyError, TypeError, ValueError) as error:
            raise ApiTrouble(
                f"{self._base_url} answers as no API of ours: {told(error)}; upgrade the older"
            ) from error
        sealed = snapshot.ended if isinstance(snapshot.ended, CycleSealed) else None
        return snapshot, sealed.last_sequence if sealed else snapshot.sequence

    async def _ask(self, path: str) -> dict[str, Any]:
        answer = await ask(self._session, f"{self._base_url}{path}", bytes_max=ANSWER_BYTES_MAX)
        if answer.status != 200:
            raise ApiTrouble(answer.refusal)
        try:
            found: dict[str, Any] = orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            raise ApiTrouble(f"{answer.url} answered with no JSON; is --api-url right?") from error
        return found

    async def messages(self, after: int) -> AsyncGenerator[Message, None]:
        """What comes after this sequence.

        Raises:
            Away: it broke off, or was ended by an API that stops.
            ApiTrouble: it cannot be gone on with.
        """
        query = [("from_seq", str(after + 1)), *(("type", kind.type) for kind in TYPES)]
        url = f"{self._base_url}/v1/events/stream"
        try:
            async with self._session.get(url, params=query, timeout=TIMEOUT, allow_redirects=False) as answer:
                if answer.status != 200:
                    _refuse(await refused(answer, url))
                self.connected, messages = True, Messages()
                async for line in lines(answer.content.iter_any()):
                    if message := messages.take(line):
                        if message.event == ENDED:
                            _refuse(Answer(url, 503, message.data))
                        yield message
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Away(repr(error)) from error
        raise Away("the stream ended")


def _refuse(answer: Answer) -> None:
    """Raises `Away`, or `ApiTrouble` where nothing will be better another time."""
    problem = answer.problem
    if answer.status in PASSING and (problem is None or problem.kind not in FOR_GOOD):
        raise Away(answer.refusal)
    raise ApiTrouble(answer.refusal)


def _event(message: Message) -> tuple[int, RecordedEvent[Event]]:
    """Its sequence, and the event.

    Raises:
        CodecError: it is none, or of a newer program.
    """
    try:
        sequence, subject = int(message.id), orjson.loads(message.data)["subject"]
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedEvent(f"the stream has a message {message.id!r} that is no event: {told(error)}") from error
    return sequence, decode(Stored(sequence, subject, message.data))


def _snapshot(tallies: dict[str, Any], cycle: dict[str, Any]) -> Snapshot:
    """Raises `KeyError`, `TypeError` or `ValueError` where they are not what our API answers."""
    ended: CycleSealed | CycleAbandoned | None = None
    if seal := cycle["seal"]:
        ended = (CycleAbandoned if cycle["status"] == "abandoned" else CycleSealed).model_validate(seal)
    cells = {
        (Uid(it["uid"]), EnvId(it["env"])): Cell(it["completed"], it["successful"], it["forfeited"], it["abandoned"])
        for it in tallies["tallies"]
    }
    return Snapshot(
        sequence=int(tallies["sequence"]),
        plan=CyclePlanned.model_validate(cycle["plan"]),
        planned_at=datetime.fromisoformat(cycle["planned_at"]),
        ended=ended,
        ended_at=datetime.fromisoformat(cycle["ended_at"]) if cycle["ended_at"] else None,
        cells=cells,
        attempts_failed=int(cycle["progress"]["attempts_failed"]),
    )
