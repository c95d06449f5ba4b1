"""From history to live without a gap and without a doublet, wherever a reader begins and however it stalls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.stream import hub as hubs
from api.stream.ends import LogChanged, NotReadable, StreamEnd, TooSlow
from api.stream.entries import entry_of
from api.stream.framing import ServerSentEvents
from api.stream.hub import Audience, Hub, Limits
from api.stream.reader import Reader
from api.stream.ring import Ring
from api.stream.wanted import Wanted
from events.codec import draft
from events.envelope import begin
from events.event import Event
from events.ids import CycleId, Uid
from events.log import Draft, LogDamaged, Stored
from events.memory import MemoryLog, matches
from tests.controls import facts
from tests.controls.cycles import large_cycle
from tests.eventually import eventually

CHUNK_END = b"\r\n"


class Pipe:
    """A connection in memory, from which its client takes as much as it likes."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self._taken, self._waiting = bytearray(), bytearray()
        self._empty = asyncio.Event()
        self.most = 0

    @property
    def buffered(self) -> int:
        return len(self._waiting)

    def write(self, data: bytes) -> None:
        self._waiting += data
        self.most = max(self.most, len(self._waiting))
        if self.takes:
            self.take()

    def take(self) -> None:
        self._taken += self._waiting
        self._waiting.clear()
        self._empty.set()
        self._empty = asyncio.Event()

    async def drained(self) -> None:
        while self._waiting:
            await self._empty.wait()

    @property
    def got(self) -> list[tuple[int, bytes]]:
        """Sequence and bytes of every event that was taken."""
        frames = [frame for chunk in chunks(bytes(self._taken)) for frame in chunk.split(b"\n\n")]
        return [event for frame in frames if (event := parsed(frame))]

    @property
    def last_id(self) -> int:
        lines = b"".join(chunks(bytes(self._taken))).split(b"\n")
        return int([line for line in lines if line.startswith(b"id: ")][-1].removeprefix(b"id: "))


def chunks(raw: bytes) -> list[bytes]:
    found = []
    while raw:
        size, _, raw = raw.partition(CHUNK_END)
        length = int(size, 16)
        found.append(raw[:length])
        assert raw[length : length + 2] == CHUNK_END
        raw = raw[length + 2 :]
    return found


def parsed(frame: bytes) -> tuple[int, bytes] | None:
    lines = dict(line.split(b": ", 1) for line in frame.split(b"\n") if b": " in line)
    return (int(lines[b"id"]), lines[b"data"]) if b"data" in lines and b"id" in lines else None


def drafts(*events: Event) -> list[Draft]:
    return [draft(begin(event, source="/test", time=facts.MOMENT)) for event in events]


def small(**changes: float) -> Limits:
    return Limits(**({"piece_bytes": 1_500, "behind_bytes": 2_000, "stall_s": 60.0} | changes))  # type: ignore[arg-type]


async def listen(
    log: MemoryLog,
    limits: Limits,
    script: Callable[[Hub], Awaitable[None]],
) -> None:
    hub = Hub(lambda: log, limits=limits)
    running = asyncio.create_task(hub.run())
    try:
        await asyncio.wait_for(hub.ready(), 60)
        await script(hub)
    finally:
        hub.stop()
        running.cancel()
        await asyncio.wait({running})


def reading(
    hub: Hub, log: MemoryLog, pipe: Pipe, after: int, wanted: Wanted | None = None
) -> asyncio.Task[StreamEnd | None]:
    async def forever() -> None:
        await asyncio.Event().wait()

    audience = Audience(FRAMING, wanted or Wanted())
    return asyncio.create_task(Reader(hub, pipe, audience, after, lambda _: log).run(forever()))


FRAMING = ServerSentEvents()
HISTORY = drafts(facts.discovered(0), facts.discovered(1), *large_cycle(1, miners=3, environments=2, episodes=5))
LATER = drafts(*large_cycle(2, miners=3, environments=2, episodes=5))


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "PAUSE_S", 0)


FILTERS = st.sampled_from(
    [
        Wanted(),
        Wanted(cycle=CycleId(2)),
        Wanted(uid=Uid(1)),
        Wanted(types=frozenset({"kinitro.cycle.sealed", "kinitro.weights.computed"})),
    ]
)


@given(st.data())
@settings(max_examples=60)
def test_every_event_comes_once_and_in_order(data: st.DataObject) -> None:
    written = data.draw(st.integers(0, len(HISTORY)), "written before")
    limits = small(
        ring_entries_max=data.draw(st.integers(1, 80), "ring"),
        ring_bytes_max=data.draw(st.sampled_from([1_000, 20_000, 10**6]), "bytes of the ring"),
        history_turn_s=data.draw(st.sampled_from([0.0, 5.0]), "turn"),
        histories_max=data.draw(st.integers(1, 2), "histories"),
    )
    plans = data.draw(
        st.lists(
            st.tuples(st.integers(0, written), st.booleans(), FILTERS, st.integers(0, 5)), min_size=1, max_size=6
        )
    )
    rest = (HISTORY + LATER)[written:]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rest)), max_size=6), "appends"))
    asyncio.run(scenario(written, limits, plans, [0, *cuts, len(rest)]))


async def scenario(written: int, limits: Limits, plans: list[tuple[int, bool, Wanted, int]], cuts: list[int]) -> None:
    log, everything = MemoryLog(), HISTORY + LATER
    rest = everything[written:]
    await log.append(everything[:written])

    async def script(hub: Hub) -> None:
        readers = []
        for place, (start, end) in enumerate(pairwise(cuts)):
            for after, takes, wanted, comes in plans:
                if comes == place:
                    pipe = Pipe(takes=takes)
                    readers.append((pipe, after, wanted, reading(hub, log, pipe, after, wanted)))
            await log.append(rest[start:end])
            for pipe, *_ in readers:
                await asyncio.sleep(0)
                if place % 2:
                    pipe.take()
        for pipe, *_ in readers:
            pipe.takes = True
            pipe.take()
        for pipe, after, wanted, task in readers:
            expected = [
                (at, each.body)
                for at, each in enumerate(everything, start=1)
                if at > after and wanted.has(entry_of(Stored(at, each.subject, each.body)))
            ]
            await eventually(lambda pipe=pipe, expected=expected: len(pipe.got) >= len(expected))  # type: ignore[misc]
            assert pipe.got == expected
            assert pipe.most < limits.behind_bytes + 2 * 8_000
            assert not task.done()

    await listen(log, limits, script)


async def test_a_reader_that_takes_nothing_is_cut_off_and_the_others_go_on() -> None:
    log = MemoryLog()

    async def script(hub: Hub) -> None:
        stuck, other = Pipe(takes=False), Pipe()
        ending, going = reading(hub, log, stuck, 0), reading(hub, log, other, 0)
        await eventually(lambda: len(hub.readers) == 2)
        await log.append(HISTORY)
        assert isinstance(await asyncio.wait_for(ending, 60), TooSlow)
        await log.append(LATER)
        await eventually(lambda: len(other.got) == len(HISTORY + LATER))
        assert stuck.most < 2_000 + 2 * 8_000
        assert not going.done()

    await listen(log, small(stall_s=0.05), script)


async def test_a_heartbeat_moves_the_place_to_resume_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "HEARTBEAT_S", 0.01)
    log = MemoryLog()

    async def script(hub: Hub) -> None:
        pipe = Pipe()
        reading(hub, log, pipe, 0, Wanted(cycle=CycleId(99)))
        await log.append(HISTORY)
        await eventually(lambda: b"heartbeat" in pipe._taken and pipe.last_id == len(HISTORY))
        assert pipe.got == []

    await listen(log, Limits(), script)


async def test_a_reader_ahead_of_this_copy_waits_for_it() -> None:
    log = MemoryLog()
    await log.append(HISTORY)

    async def script(hub: Hub) -> None:
        pipe = Pipe()
        reading(hub, log, pipe, len(HISTORY) + 3)
        await log.append(LATER)
        await eventually(lambda: len(pipe.got) == len(LATER) - 3)
        assert pipe.got[0][0] == len(HISTORY) + 4

    await listen(log, Limits(), script)


class DamagedLater(MemoryLog):
    """A log that is replaced while it is followed."""

    def __init__(self) -> None:
        super().__init__()
        self.damaged = asyncio.Event()

    async def follow(self, *, after: int = 0, subject: str = ">"):  # type: ignore[no-untyped-def]
        if self.damaged.is_set():
            await asyncio.Event().wait()
        async with aclosing(super().follow(after=after, subject=subject)) as batches:
            async for batch in batches:
                yield batch
                await self.damaged.wait()
                raise LogDamaged("the log is now another one: it has been replaced")


async def test_when_the_log_is_another_one_every_stream_ends_and_says_so() -> None:
    log = DamagedLater()
    await log.append(HISTORY)

    async def script(hub: Hub) -> None:
        ending = [reading(hub, log, Pipe(), after) for after in (0, len(HISTORY))]
        await eventually(lambda: len(hub.readers) == 2)
        log.damaged.set()
        ends = await asyncio.wait_for(asyncio.gather(*ending), 60)
        assert [type(end) for end in ends] == [LogChanged, LogChanged]

    await listen(log, Limits(), script)


async def test_an_event_that_cannot_be_streamed_ends_those_that_come_to_it() -> None:
    log = MemoryLog()
    await log.append([*HISTORY[:5], Draft("evt.cycle.9.plan", "stranger", b'{"type":\n"x"}')])

    async def script(hub: Hub) -> None:
        pipe = Pipe()
        end = await asyncio.wait_for(reading(hub, log, pipe, 2), 60)
        assert isinstance(end, NotReadable)
        assert "from_seq=7" in str(end)
        after = Pipe()
        going = reading(hub, log, after, 6)
        await log.append(LATER)
        await eventually(lambda: len(after.got) == len(LATER))
        assert not going.done()

    await listen(log, Limits(), script)


def test_the_bytes_of_an_event_are_on_one_line_as_they_are() -> None:
    for at, each in enumerate(HISTORY, start=1):
        frame = FRAMING.event(entry_of(Stored(at, each.subject, each.body)))
        kind = json.loads(each.body)["type"].encode()
        assert frame == b"id: %d\nevent: %b\ndata: %b\n\n" % (at, kind, each.body)


def test_a_ring_holds_the_newest() -> None:
    entries = [entry_of(Stored(at, each.subject, each.body)) for at, each in enumerate(HISTORY, start=1)]
    ring = Ring(0, entries_max=10, bytes_max=10**9)
    ring.add(entries)
    assert (ring.start, ring.newest) == (len(entries) - 10, len(entries))
    assert ring.after(ring.start, Wanted(), 10**9).entries == entries[-10:]
    with pytest.raises(ValueError, match="cannot follow"):
        ring.add(entries[:1])


ONE_OF_EACH = drafts(*facts.one_of_each())
ENTRIES = [entry_of(Stored(at, each.subject, each.body)) for at, each in enumerate(ONE_OF_EACH, start=1)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda it: it.type)
def test_what_is_read_for_a_filter_holds_all_that_it_wants(entry: object) -> None:
    wants = [
        Wanted(cycle=found.cycle, uid=found.uid, hotkey=found.hotkey, environment=found.env)  # type: ignore[arg-type]
        for found in ENTRIES
    ]
    apart = [
        Wanted(**{name: getattr(found, attribute)})
        for found in ENTRIES
        for name, attribute in (("cycle", "cycle"), ("uid", "uid"), ("hotkey", "hotkey"), ("environment", "env"))
        if getattr(found, attribute) is not None
    ]
    for wanted in {*wants, *apart, *(Wanted(types=frozenset({found.type})) for found in ENTRIES)}:
        if wanted.has(entry):  # type: ignore[arg-type]
            filters = wanted.subjects
            patterns = (filters,) if isinstance(filters, str) else filters
            selecting = [each for each in patterns if matches(each, entry.subject)]  # type: ignore[attr-defined]
            assert len(selecting) == 1, (wanted, entry)
