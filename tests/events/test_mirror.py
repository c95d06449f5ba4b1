"""A log made from an export is the same log, and nothing else can come of an import."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from events.export import Trailer, check, read
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.log import BATCH_MAX, Draft, EventLog, LogUnavailable, Stored
from events.memory import MemoryLog
from events.mirror import AnotherLog, Gap, Imported, NotWhole, SequencesDiffer, bring_in, encode, of_cycle
from tests.contracts.event_log import everything
from tests.controls import facts
from tests.controls.cycles import large_cycle
from tests.fixtures.projecting import write


async def lines_of(log: EventLog, *, after: int = 0, limit: int | None = None) -> list[bytes]:
    pieces = [piece async for piece in encode(log.read(after=after), after=after, limit=limit)]
    return b"".join(pieces).splitlines(keepends=True)


async def imported(log: EventLog, lines: list[bytes]) -> Imported:
    return await bring_in(log, read(lines), check(lines))


async def a_log(*cycles: int) -> MemoryLog:
    log = MemoryLog()
    for cycle in cycles:
        await write(log, *facts.whole_cycle(cycle))
    return log


async def test_a_log_made_from_an_export_is_the_same_log(event_log: JetStreamLog) -> None:
    original = MemoryLog()
    end = await write(original, *large_cycle(1, miners=16, environments=5, episodes=20))
    assert end > BATCH_MAX
    assert await imported(event_log, await lines_of(original)) == Imported(end, 0, end)
    assert await everything(event_log) == await everything(original)


async def test_ids_are_the_original_ones(event_log: JetStreamLog) -> None:
    drafts = [Draft("evt.a", "one", b'{"specversion":"1.0","subject":"evt.a","id":"one"}')]
    original = MemoryLog()
    await original.append(drafts)
    await imported(event_log, await lines_of(original))
    assert await event_log.append(drafts) == [1]  # with another id it would be a conflict


async def test_an_import_can_be_repeated() -> None:
    original, mirror = await a_log(1), MemoryLog()
    lines = await lines_of(original)
    await imported(mirror, lines)
    assert await imported(mirror, lines) == Imported(0, 12, 12)
    assert await everything(mirror) == await everything(original)


@pytest.mark.parametrize("after", [0, 5, 12])
async def test_a_mirror_is_kept_up_to_date(after: int) -> None:
    original, mirror = await a_log(1), MemoryLog()
    await imported(mirror, await lines_of(original))
    await write(original, *facts.whole_cycle(2))
    assert await imported(mirror, await lines_of(original, after=after)) == Imported(12, 12 - after, 24)
    assert await everything(mirror) == await everything(original)


async def test_an_old_export_changes_nothing() -> None:
    original, mirror = await a_log(1, 2), await a_log()
    await imported(mirror, await lines_of(original))
    assert await imported(mirror, await lines_of(original, after=3, limit=4)) == Imported(0, 4, 24)


async def test_an_empty_export_changes_nothing() -> None:
    original = await a_log(1)
    assert await imported(original, await lines_of(original, after=12)) == Imported(0, 0, 12)


async def test_an_export_that_begins_too_late_is_refused() -> None:
    original, mirror = await a_log(1), await a_log()
    with pytest.raises(Gap, match=r"ends at sequence 0, the export begins at 6.*--after 0"):
        await imported(mirror, await lines_of(original, after=5))


async def test_an_export_of_another_log_is_refused() -> None:
    other = await a_log(1)
    before = await everything(other)
    with pytest.raises(AnotherLog, match=r"sequence 1: .*import into an empty log"):
        await imported(other, await lines_of(await a_log(1, 2)))
    assert await everything(other) == before


async def test_an_export_of_one_cycle_is_no_log() -> None:
    original = await a_log(1, 2)
    pieces = [piece async for piece in encode(original.read(subject=("evt.cycle.2.plan", "evt.weights.2")))]
    with pytest.raises(NotWhole, match="without --cycle"):
        await imported(MemoryLog(), b"".join(pieces).splitlines(keepends=True))


async def test_a_subject_that_stands_twice_is_refused() -> None:
    original = MemoryLog()
    body = b'{"specversion":"1.0","subject":"evt.a","id":"%s"}'
    await original.append([Draft("evt.a", "one", body % b"one")])
    await original.append([Draft("evt.a", "two", body % b"two", 1)])
    with pytest.raises(AnotherLog, match="same subject"):
        await imported(MemoryLog(), await lines_of(original))


class Interrupted(MemoryLog):
    """Goes away after the first append: what was sent is stored, its acknowledgement is not received."""

    def __init__(self) -> None:
        super().__init__()
        self.away = True

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        done = await super().append(drafts)
        if self.away:
            raise LogUnavailable("gone")
        return done


async def test_an_interrupted_import_is_completed_by_another() -> None:
    original, mirror = MemoryLog(), Interrupted()
    end = await write(original, *large_cycle(1, miners=16, environments=5, episodes=20))
    lines = await lines_of(original)
    with pytest.raises(LogUnavailable):
        await imported(mirror, lines)
    mirror.away = False
    assert await imported(mirror, lines) == Imported(end - BATCH_MAX, BATCH_MAX, end)
    assert await everything(mirror) == await everything(original)


class Disturbed(MemoryLog):
    """Somebody else appends while an import goes on."""

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        await super().append([Draft("evt.other", "other", b"{}")])
        return await super().append(drafts)


async def test_somebody_else_who_appends_meanwhile_is_noticed() -> None:
    with pytest.raises(SequencesDiffer, match="is at sequence 2, expected 1"):
        await imported(Disturbed(), await lines_of(await a_log(1)))


async def test_a_cycle_is_exported_with_all_about_it_in_the_order_of_the_log(event_log: JetStreamLog) -> None:
    about = [*facts.whole_cycle(1), facts.root_signed(1), facts.weights_signed(1)]
    others = [*facts.whole_cycle(2), facts.root_signed(2), facts.weights_signed(2)]
    await write(event_log, facts.key_announced(1), facts.discovered())
    for one, two in zip(about, others, strict=True):
        await write(event_log, two, one)
    await write(event_log, facts.key_announced(2))
    pieces = [piece async for piece in encode(event_log.read(subject=of_cycle(CycleId(1))))]
    lines = b"".join(pieces).splitlines(keepends=True)
    names = [event.subject for event in read(lines)]
    assert names[0] == "evt.identity.1"
    assert names[-1] == "evt.identity.2"
    assert len(names) == len(about) + 2
    assert not any(
        name.startswith(("evt.cycle.2", "evt.weights.2", "evt.miner", "evt.signed.root.2")) for name in names
    )
    trailer = check(lines)
    assert (trailer.first_sequence, trailer.last_sequence) == (1, await event_log.last_sequence())


async def test_pages_follow_each_other_by_their_trailers() -> None:
    original, bodies, after = await a_log(1, 2), list[bytes](), 0
    while (trailer := check(lines := await lines_of(original, after=after, limit=5))).count:
        bodies += [event.body for event in read(lines)]
        after = trailer.last_sequence
    assert bodies == [stored.body for stored in await everything(original)]
    assert trailer == Trailer(0, 25, 24, trailer.root)


async def test_an_export_reads_no_further_than_its_reader() -> None:
    given = 0

    async def batches() -> AsyncGenerator[list[Stored], None]:
        nonlocal given
        for number in range(1, 100):
            given = number
            yield [Stored(number, "evt.a", b"{%s}" % (b" " * 1_000_000))]

    pieces = encode(batches())
    await anext(pieces)
    await asyncio.sleep(0)
    assert given == 1
    await pieces.aclose()
