"""Events from a log into an export, and from an export into a log.

MirrorError
├── NotWhole          an export of one cycle: a log cannot be made from it
├── Gap               events are missing between the log's end and the export
├── AnotherLog        the log holds something else where the export has its events
└── SequencesDiffer   somebody else has appended meanwhile: the log is no mirror
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from events import subjects
from events.export import Encoder, Exported, ExportError, Trailer
from events.ids import CycleId
from events.log import BATCH_MAX, Conflict, Draft, EventLog, Stored

PIECE_BYTES = 256 * 1024
"""How much of an export is handed on at once. An event may be longer."""

APPEND_BYTES = 16 * 1024 * 1024
"""An append is sent once it has this many bytes, if not before."""


class MirrorError(ExportError):
    """The export cannot be brought into this log."""


class NotWhole(MirrorError):
    """An export of one cycle: a log cannot be made from it."""


class Gap(MirrorError):
    """Events are missing between the log's end and the export."""


class AnotherLog(MirrorError):
    """The log holds something else where the export has its events."""


class SequencesDiffer(MirrorError):
    """Somebody else has appended meanwhile: the log is no mirror."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import came to."""

    appended: int
    known: int
    """Events of the export that the log held already, byte for byte."""
    last_sequence: int


def of_cycle(cycle: CycleId) -> tuple[str, ...]:
    """The filters that select all about one cycle: enough to audit it alone.

    The keys that sign and the rules that were announced are of no one cycle, and belong to the export of each.
    """
    return (
        subjects.cycle(cycle),
        subjects.weights(cycle),
        subjects.signed_root(cycle),
        subjects.signed_weights(cycle),
        subjects.IDENTITY,
        subjects.RULES,
        subjects.shadows(cycle),
        subjects.copies(cycle),
    )


async def encode(
    batches: AsyncGenerator[list[Stored], None], *, after: int = 0, limit: int | None = None
) -> AsyncGenerator[bytes, None]:
    """An export in pieces of whole lines, the trailer last. It reads no further than its reader does.

    `after` is where `batches` begin; `limit` how many events to export at most, at least one.

    Raises:
        NotExportable: the log holds something that cannot be a line.
        LogError: reading has failed. There is no trailer then.
    """
    encoder, first, last = Encoder(), after + 1, after
    async with aclosing(batches):
        async for batch in batches:
            chosen = batch if limit is None else batch[: limit - encoder.count]
            first = first if encoder.count else chosen[0].sequence
            last = chosen[-1].sequence
            piece = bytearray()
            for stored in chosen:
                piece += encoder.line(stored)
                if len(piece) >= PIECE_BYTES:
                    yield bytes(piece)
                    piece.clear()
                    await asyncio.sleep(0)  # a reader that takes all at once must not keep others waiting
            if piece:
                yield bytes(piece)
            if encoder.count == limit:
                break
    yield encoder.trailer(first, last).line()


def check_whole(trailer: Trailer) -> None:
    """Whether a log can be made from an export with this trailer.

    Raises:
        NotWhole: it cannot.
    """
    if not trailer.whole:
        raise NotWhole(
            f"the export has {trailer.count} events of sequences {trailer.first_sequence} to {trailer.last_sequence}:"
            " expected all of them, as a log is made of; export without --cycle"
        )


async def bring_in(log: EventLog, events: Iterator[Exported], trailer: Trailer) -> Imported:
    """Appends the events that the log lacks, each at its subject, with its id and its exact bytes.

    The export has been checked, and `trailer` is its own. An import that was interrupted can be repeated.

    Raises:
        NotWhole, Gap, AnotherLog: nothing was appended.
        SequencesDiffer: the log must be thrown away.
        LogError: repeat the import.
    """
    check_whole(trailer)
    end, first = await log.last_sequence(), trailer.first_sequence
    if first > end + 1:
        raise Gap(
            f"the log ends at sequence {end}, the export begins at {first}: expected {end + 1} or less;"
            f" import one that was made with --after {end} before"
        )
    known = min(end, trailer.last_sequence) - first + 1
    await _compare(log, events, first, known)
    appended = await _append_all(log, events, max(first, end + 1))
    return Imported(appended, known, max(end, trailer.last_sequence))


async def _compare(log: EventLog, events: Iterator[Exported], first: int, known: int) -> None:
    left = known
    async with aclosing(log.read(after=first - 1)) as batches:
        async for batch in batches:
            for stored in batch[:left]:
                _check_same(stored, next(events))
            left -= len(batch)
            if left <= 0:
                return


def _check_same(stored: Stored, event: Exported) -> None:
    if (stored.subject, stored.body) != (event.subject, event.body):
        raise AnotherLog(
            f"sequence {stored.sequence}: the export has {event.subject} with id {event.id}, the log has"
            f" {stored.subject} with other bytes, {stored.body[:80]!r}; import into an empty log"
        )


async def _append_all(log: EventLog, events: Iterator[Exported], sequence: int) -> int:
    appended, drafts, size = 0, list[Draft](), 0
    for event in events:
        drafts.append(Draft(event.subject, event.id, event.body))
        size += len(event.body)
        if len(drafts) == BATCH_MAX or size >= APPEND_BYTES:
            await _append(log, drafts, sequence + appended)
            appended, drafts, size = appended + len(drafts), [], 0
    await _append(log, drafts, sequence + appended)
    return appended + len(drafts)


async def _append(log: EventLog, drafts: list[Draft], sequence: int) -> None:
    try:
        sequences = await log.append(drafts)
    except (Conflict, ValueError) as error:
        raise AnotherLog(
            f"at sequence {sequence}: {error}; the export does not continue this log: import into an empty one"
        ) from error
    for expected, (actual, draft) in enumerate(zip(sequences, drafts, strict=True), start=sequence):
        if actual != expected:
            raise SequencesDiffer(
                f"{draft.subject} is at sequence {actual}, expected {expected}: somebody else has appended to this"
                " log meanwhile, so it is no mirror; stop who did, and import into an empty log"
            )
