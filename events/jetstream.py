"""The log on JetStream: one stream, in which each event is a message at its subject.

An append is sent once and then *resolved*. Whatever else than its acknowledgement comes back - nothing, a lost
connection, a conflict, an aborted batch - may mean that it was stored or that it was not, so the subjects are read
from the stream's leader and the ids compared:

| at the subject stands        | so                                                          |
|------------------------------|-------------------------------------------------------------|
| an event with our id         | it is done                                                  |
| what was expected            | it is sent again, with the same ids, after a pause; or, if  |
|                              | the log has gone past `log_ends_at`, `Conflict`             |
| anything else                | `Conflict`                                                  |

A copy that arrives late does no harm: the server refuses it, because its subject is taken by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

from events import frames, lookup, reader
from events.connection import Connection, Forbidden, NatsError, NoAnswer, Refused
from events.continuity import Continuity
from events.log import Conflict, Draft, Filter, LogUnavailable, Stored, TooLarge, check_drafts
from events.patience import Patience

PATIENCE_S = 30.0
"""How long to go on trying; a cluster needs up to 9 s to choose a new leader."""

UNAPPENDED = "live.unappended"
"""Told over core NATS, again and again, by whoever the log does not let append though it can be reached."""
UNAPPENDED_S = 10.0
"""For how long one word of that counts: longer than a try and the pause before the next one take."""

LOOKUPS_MAX = 64
"""How many subjects are looked up at once."""


class JetStreamLog:
    """An `EventLog` on the stream `KINITRO_EVENTS`, which `ensure_streams` has created or checked."""

    def __init__(self, connection: Connection, *, patience_s: float = PATIENCE_S) -> None:
        self._connection = connection
        self._patience_s = patience_s
        self._continuity = Continuity(connection)

    @property
    def url(self) -> str:
        """Where another process can open this log, credentials included."""
        return self._connection.url

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        check_drafts(drafts)
        self._check_payload(drafts)
        if not drafts:
            return []
        try:
            sequences = await self._send(drafts)
        except Forbidden as error:
            raise lookup.refusal(error) from error
        except NatsError as error:
            sequences = await self._insist(drafts, error)
        self._continuity.saw(Stored(sequences[-1], drafts[-1].subject, drafts[-1].body))
        return sequences

    async def last(self, subject: str) -> Stored | None:
        return await self._get({"last_by_subj": subject})

    async def at(self, sequence: int) -> Stored | None:
        return await self._get({"seq": sequence}) if sequence >= 1 else None

    async def last_sequence(self) -> int:
        return (await self._head()).last_sequence

    async def identity(self) -> str:
        return (await self._head()).identity

    def read(self, *, after: int = 0, subject: Filter = ">") -> AsyncGenerator[list[Stored], None]:
        return reader.read(
            self._connection, self._continuity, after=after, subject=subject, patience_s=self._patience_s
        )

    def stretch(self, *, after: int, last: int) -> AsyncGenerator[list[Stored], None]:
        """As `read`, up to the sequence `last`; the server is asked for nothing beyond it."""
        return reader.read(
            self._connection, self._continuity, after=after, subject=">", patience_s=self._patience_s, last=last
        )

    def follow(self, *, after: int = 0, subject: str = ">") -> AsyncGenerator[list[Stored], None]:
        return reader.follow(self._connection, self._continuity, after=after, subject=subject)

    def _check_payload(self, drafts: Sequence[Draft]) -> None:
        longest = max(drafts, key=lambda draft: len(draft.body), default=None)
        room = self._connection.payload_max - frames.HEADER_BYTES_MAX
        if longest is not None and len(longest.body) > room:
            raise TooLarge(
                f"{longest.subject}: {len(longest.body)} bytes, the server takes {room}: raise its max_payload"
            )

    async def _send(self, drafts: Sequence[Draft]) -> list[int]:
        """Sequences, as acknowledged: those of a batch follow each other.

        Raises:
            NoAnswer, Refused: as `Connection.ask`.
            LogDamaged: the log is not the one that was seen before the connection was lost.
        """
        await self._continuity.confirm()
        ack = await self._connection.ask(lambda reply: frames.append(drafts, reply))
        if len(drafts) > 1 and ack.get("count") != len(drafts):
            raise NoAnswer(f"the server acknowledged {ack.get('count')} events of a batch of {len(drafts)}")
        end = int(ack["seq"]) + 1
        return list(range(end - len(drafts), end))

    async def _insist(self, drafts: Sequence[Draft], reason: NatsError) -> list[int]:
        """Learns what has become of an append that was not acknowledged, and repeats what is missing."""
        done: dict[str, int] = {}
        left = drafts
        patience = Patience(self._patience_s)
        while True:
            done |= await self._resolve(left)
            left = [draft for draft in left if draft.subject not in done]
            if not left:
                return [done[draft.subject] for draft in drafts]
            if not await patience.pause():
                raise LogUnavailable(
                    f"{left[0].subject} and {len(left) - 1} more not appended in {self._patience_s:g} s: {reason};"
                    " repeat the append with the same ids"
                ) from reason
            try:
                sequences = await self._send(left)
            except NatsError as error:
                reason = error
                await self._tell_unappended(error)
                continue
            done |= zip((draft.subject for draft in left), sequences, strict=True)
            return [done[draft.subject] for draft in drafts]

    async def _tell_unappended(self, error: NatsError) -> None:
        """A server whose disk is full answers every question, and no append: only who appends can know."""
        if isinstance(error, NoAnswer) and self._connection.client.is_connected:
            with suppress(NoAnswer):
                await self._connection.send(frames.publish(UNAPPENDED, b""))

    async def _resolve(self, drafts: Sequence[Draft]) -> dict[str, int]:
        """Sequences by subject of those that are in the log after all, as far as it can be learned now.

        Raises:
            Conflict: another event stands where one of them was to be, or the log has gone past where it had to end.
            StreamMismatch: there is no such stream.
        """
        slots = asyncio.Semaphore(LOOKUPS_MAX)

        async def look(draft: Draft) -> lookup.Found | None:
            async with slots:
                return await lookup.message(self._connection, {"last_by_subj": draft.subject})

        # The end before the subjects: what is not at its subject afterwards cannot come any more.
        end = await self._end(drafts)
        answers = await asyncio.gather(*map(look, drafts), return_exceptions=True)
        done = {}
        for draft, found in zip(drafts, answers, strict=True):
            if isinstance(found, Refused):
                raise lookup.refusal(found) from found
            if isinstance(found, NoAnswer):
                continue
            if isinstance(found, BaseException):
                raise found
            sequence = found.stored.sequence if found else 0
            if found and found.id == draft.id:
                done[draft.subject] = sequence
            elif sequence != draft.expected_last:
                raise Conflict(draft.subject, draft.expected_last, sequence)
            elif draft.log_ends_at is not None and end is not None and end > draft.log_ends_at:
                raise Conflict("the whole log", draft.log_ends_at, end)
        return done

    async def _end(self, drafts: Sequence[Draft]) -> int | None:
        """Where the log ends, if that matters to one of them and can be learned now."""
        if all(draft.log_ends_at is None for draft in drafts):
            return None
        try:
            return (await lookup.head(self._connection)).last_sequence
        except NoAnswer:
            return None
        except Refused as error:
            raise lookup.refusal(error) from error

    async def _get(self, which: dict[str, str | int]) -> Stored | None:
        found = await lookup.patiently(lambda: lookup.message(self._connection, which), self._patience_s)
        return found.stored if found else None

    async def _head(self) -> lookup.Head:
        return await lookup.patiently(lambda: lookup.head(self._connection), self._patience_s)
