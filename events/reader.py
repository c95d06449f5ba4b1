"""Reading the log on JetStream, in bulk and live, without a gap and without a doublet.

An ephemeral consumer without acknowledgements delivers from a sequence on. It is asked for events by pull requests,
two of which are under way while there is much to read. At the log's end it is asked only when somebody waits: then it
sends the next event at once, and whoever comes back later finds all that were appended meanwhile in one batch.
Whatever goes wrong with it - a lost connection, a restarted server, a delivery missing from its count, silence - ends
the flow, and another is opened after the last event seen.

A filtered read takes the same way. A batched direct get would do for few events, but any replica may answer it, even
one that lags behind; here the last sequence to deliver comes from the leader, so nothing can be missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
from collections import deque
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import nats.errors
import structlog
from nats.aio.subscription import Subscription

from events import frames, lookup
from events.connection import Connection, NatsError, NoAnswer, Refused
from events.continuity import CATCH_UP_S, Continuity
from events.log import Filter, LogDamaged, LogError, LogUnavailable, Stored
from events.patience import Patience
from events.stream_settings import EVENTS

logger = structlog.get_logger(__name__)

BROKEN = "the flow of events broke off and is taken up again"

PULL_EVENTS = 5_000
PULL_BYTES = 32 * 1024 * 1024
"""How much one pull request may deliver. Two of them bound what a slow reader holds in memory."""

POLL_S = 2.0
"""How long a pull request stays open. It also tells soon enough that nobody is there any more."""

SILENCE_S = POLL_S + 1.0
"""After this time without a word the consumer is taken for lost."""

ABANDONED_S = 30
"""The server removes a consumer that nobody has pulled from for so long."""

_PULL_ENDS = (b"404", b"408", b"409 Message Size Exceeds MaxBytes", b"409 Batch Completed")
"""How the statuses begin that end a pull request and nothing else."""

_PULL_REFUSED = b"408 Requests Pending"
"""The newest is not taken up: those before it may deliver more than there is."""

_PULL_DONE = re.compile(rb"\r\nNats-Pending-Messages: 0\r\n")
"""In the status of a pull request that has delivered all it may, and was counted out by that."""


async def read(
    connection: Connection,
    continuity: Continuity,
    *,
    after: int,
    subject: Filter,
    patience_s: float,
    last: int | None = None,
) -> AsyncGenerator[list[Stored], None]:
    """See `EventLog.read`. With `last`, which goes with the whole log, it ends there."""
    await lookup.patiently(continuity.confirm, patience_s)
    end = await lookup.patiently(lambda: _end(connection, subject), patience_s)
    end = end if last is None else min(end, last)
    position, patience = after, Patience(patience_s)
    while position < end:
        try:
            await continuity.confirm()
            async with Flow(connection, position, subject, last=last) as flow:
                while position < end:
                    batch = await flow.take()
                    position, patience = batch[-1].sequence, Patience(patience_s)
                    continuity.saw(batch[-1])
                    yield batch if position <= end else [stored for stored in batch if stored.sequence <= end]
        except NoAnswer as error:
            logger.debug(BROKEN, sequence=position, reason=str(error))
            if not await patience.pause():
                raise LogUnavailable(f"reading stopped at sequence {position} of {end}: {error}") from error


async def follow(
    connection: Connection, continuity: Continuity, *, after: int, subject: str
) -> AsyncGenerator[list[Stored], None]:
    """See `EventLog.follow`."""
    position, patience = after, Patience(math.inf)
    identity: str | None = None
    while True:
        try:
            identity = await _check(connection, position, identity)
            await continuity.confirm()
            async with Flow(connection, position, subject) as flow:
                while True:
                    batch = await flow.take()
                    position, patience = batch[-1].sequence, Patience(math.inf)
                    continuity.saw(batch[-1])
                    yield batch
        except NoAnswer as error:
            logger.debug(BROKEN, sequence=position, reason=str(error))
            await patience.pause()


class Flow:
    """What one consumer delivers after `after`. It breaks rather than leave anything out.

    With `last`, which goes with the whole log, nothing is asked for beyond that sequence.
    """

    def __init__(self, connection: Connection, after: int, subject: Filter, *, last: int | None = None) -> None:
        self._connection = connection
        self._name = uuid4().hex
        self._subject = subject
        self._whole = subject == ">"
        assert last is None or self._whole
        self._last = last
        self._sequence, self._deliveries = after, 0
        self._inbox = connection.client.new_inbox()
        self._subscription: Subscription | None = None
        self._arrived: list[Stored] = []
        self._pulls = deque[int]()
        """How many events each pull request under way may still deliver, the oldest first: it is served first."""
        self._behind = True
        """Whether there was more to read when the last event was delivered."""
        self._ended: NatsError | LogError | None = None
        self._news = asyncio.Event()

    async def take(self) -> list[Stored]:
        """What has arrived since the last call; waits until there is something.

        Raises:
            NoAnswer: the flow has broken. Open another one after the last event seen.
            LogDamaged: the stream skips a sequence.
        """
        while not self._arrived:
            if self._ended:
                raise self._ended
            self._news.clear()
            await self._pull()
            try:
                async with asyncio.timeout(SILENCE_S):
                    await self._news.wait()
            except TimeoutError:
                self._end(NoAnswer(f"silence of {SILENCE_S:g} s"))
        batch, self._arrived = self._arrived, []
        if self._behind:
            await self._pull()
        return batch

    async def __aenter__(self) -> Self:
        self._connection.on_lost.add(self._on_lost)
        try:
            self._subscription = await self._connection.client.subscribe_directly(self._inbox, self._on_message)
            await self._create_consumer()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _create_consumer(self) -> None:
        config: dict[str, Any] = {
            "name": self._name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._sequence + 1,
            "ack_policy": "none",
            "replay_policy": "instant",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": ABANDONED_S * 1_000_000_000,
        }
        call = f"CONSUMER.CREATE.{EVENTS}.{self._name}"
        if isinstance(self._subject, tuple):
            config["filter_subjects"] = self._subject
        elif not self._whole:
            config["filter_subject"] = self._subject
            call = f"{call}.{self._subject}"
        try:
            await self._connection.api(call, {"stream_name": EVENTS, "config": config})
        except Refused as error:
            raise lookup.refusal(error) from error

    async def _pull(self) -> None:
        """Asks for what there is or, if there is nothing, for the next event."""
        under_way = sum(self._pulls)
        if self._ended or under_way > PULL_EVENTS // 2:
            return
        wanted = PULL_EVENTS
        if self._last is not None:
            wanted = min(wanted, self._last - self._sequence - under_way)
        if wanted <= 0:
            return
        self._pulls.append(wanted)
        expires_ns = int(POLL_S * 1_000_000_000)
        request = {"batch": wanted, "max_bytes": PULL_BYTES, "no_wait": True, "expires": expires_ns}
        call = f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.{self._name}"
        try:
            await self._connection.send(frames.request(call, self._inbox, json.dumps(request).encode()))
        except NoAnswer as error:
            self._end(error)

    def _on_message(self, subject: bytes, reply: bytes, headers: bytes, body: bytes) -> None:
        if not reply:
            self._on_status(headers)
            return
        sequence, delivery, pending = _position(reply)
        self._delivered()
        if self._ended:
            return
        if delivery != self._deliveries + 1:
            self._end(NoAnswer(f"delivery {delivery} came after {self._deliveries}"))
        elif self._whole and sequence != self._sequence + 1:
            self._end(LogDamaged(f"stream {EVENTS}: sequence {self._sequence} is followed by {sequence}"))
        else:
            self._sequence, self._deliveries, self._behind = sequence, delivery, pending > 0
            self._arrived.append(Stored(sequence, subject.decode(), body))
            self._news.set()

    def _delivered(self) -> None:
        if self._pulls:
            self._pulls[0] -= 1
            if not self._pulls[0]:
                self._pulls.popleft()

    def _on_status(self, headers: bytes) -> None:
        """A pull request has ended, or the consumer has."""
        status = headers.partition(b"\r\n")[0].removeprefix(b"NATS/1.0 ")
        if status.startswith(_PULL_ENDS):
            if self._pulls and not _PULL_DONE.search(headers):
                self._pulls.pop() if status == _PULL_REFUSED else self._pulls.popleft()
            self._news.set()
        else:
            self._end(NoAnswer(f"the consumer is gone: {status.decode()}"))

    def _on_lost(self) -> None:
        self._end(NoAnswer("the connection was lost"))

    def _end(self, reason: NatsError | LogError) -> None:
        self._ended = self._ended or reason
        self._news.set()

    async def _close(self) -> None:
        self._connection.on_lost.discard(self._on_lost)
        self._end(NoAnswer("closed"))
        if self._subscription is not None:
            with contextlib.suppress(nats.errors.Error):
                await self._connection.client.unsubscribe_directly(self._subscription)
        with contextlib.suppress(NatsError):  # if it cannot be told, the server removes it by itself
            await self._connection.api(f"CONSUMER.DELETE.{EVENTS}.{self._name}")


async def _end(connection: Connection, subject: Filter) -> int:
    """The last sequence that a read of `subject` has to deliver, as the leader knows it."""
    if isinstance(subject, tuple):
        return max([await _end(connection, each) for each in subject])
    if subject == ">":
        return (await lookup.head(connection)).last_sequence
    found = await lookup.message(connection, {"last_by_subj": subject})
    return found.stored.sequence if found else 0


async def _check(connection: Connection, position: int, identity: str | None) -> str:
    """The log's identity, which has to be `identity` if that is known; and it has to reach up to `position`."""
    patience = Patience(CATCH_UP_S)
    while True:
        try:
            head = await lookup.head(connection)
        except Refused as error:
            raise lookup.refusal(error) from error
        if identity not in (None, head.identity):
            raise LogDamaged(f"the log is now {head.identity}, it was {identity}: it has been replaced")
        if head.last_sequence >= position:
            return head.identity
        if not await patience.pause():
            raise LogDamaged(
                f"the log ends at sequence {head.last_sequence}, before {position}, which was seen already"
            )


def _position(reply: bytes) -> tuple[int, int, int]:
    """Of an event: its sequence, the number of its delivery and how many are to come, from where it is acknowledged.

    `$JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<delivery>.<time>.<pending>`, or, newer, with domain and account
    after `ACK`. Anything else is no delivery: (0, 0, 0).
    """
    tokens = reply.split(b".")
    match len(tokens):
        case 9:
            return int(tokens[5]), int(tokens[6]), int(tokens[8])
        case 11 | 12:
            return int(tokens[7]), int(tokens[8]), int(tokens[10])
        case _:
            return 0, 0, 0
