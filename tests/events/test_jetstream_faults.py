"""What breaks between a writer or reader and the log costs time, and never an event."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from events import reader
from events.connection import Connection, connect
from events.jetstream import PATIENCE_S, JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.log import Draft, EventLog, LogDamaged, LogError, LogUnavailable, Stored
from events.server import find_binary
from events.stream_settings import EVENTS
from events.streams import ensure_streams
from tests.contracts.event_log import a_draft, drafts, everything
from tests.contracts.task_queue import tasks
from tests.eventually import eventually
from tests.fixtures.link import Link
from tests.fixtures.nats import NatsProcess, delete_streams
from tests.fixtures.ports import free_port


@pytest.fixture
async def mortal(nats_alone: NatsProcess) -> AsyncIterator[JetStreamLog]:
    """A log on a server that the test may kill."""
    async with await connect(nats_alone.url, "mortal") as connection:
        await ensure_streams(connection)
        yield JetStreamLog(connection)


@pytest.fixture
async def link(nats_server: NatsProcess, nats: Connection) -> AsyncIterator[Link]:
    async with Link(nats_server.url) as link:
        yield link


@pytest.fixture
async def behind_link(link: Link) -> AsyncIterator[JetStreamLog]:
    async with await connect(link.url, "behind link") as connection:
        yield JetStreamLog(connection)


async def restart(server: NatsProcess) -> None:
    server.kill()
    server.start()
    await server.embedded.wait_ready()


async def collect(log: EventLog, seen: list[Stored], *, subject: str = ">") -> None:
    async with aclosing(log.follow(subject=subject)) as batches:
        async for batch in batches:
            seen += batch


async def test_a_killed_server_costs_no_acknowledged_event(nats_alone: NatsProcess, mortal: JetStreamLog) -> None:
    acknowledged: dict[int, Draft] = {}
    followed: list[Stored] = []
    selected: list[Stored] = []
    killed = 0

    async def write(writer: int) -> None:
        number = 0
        while killed < 3 or number % 10:
            batch = drafts(1 + number % 3, prefix=f"evt.{writer}.{number}")
            acknowledged.update(zip(await mortal.append(batch), batch, strict=True))
            number += 1

    async with asyncio.TaskGroup() as group:
        followers = [
            group.create_task(collect(mortal, followed)),
            group.create_task(collect(mortal, selected, subject="evt.1.>")),
        ]
        writers = [group.create_task(write(writer)) for writer in range(3)]
        while killed < 3:
            before = len(acknowledged)
            await eventually(lambda least=before + 30: len(acknowledged) > least)  # type: ignore[misc]
            await restart(nats_alone)
            killed += 1
        await asyncio.gather(*writers)
        expected = [Stored(sequence, draft.subject, draft.body) for sequence, draft in sorted(acknowledged.items())]
        await eventually(lambda: len(followed) >= len(expected))
        of_writer = [stored for stored in expected if stored.subject.startswith("evt.1.")]
        await eventually(lambda: len(selected) >= len(of_writer))
        for follower in followers:
            follower.cancel()

    assert await everything(mortal) == expected
    assert followed == expected
    assert selected == of_writer


async def test_a_killed_server_interrupts_no_read(nats_alone: NatsProcess, mortal: JetStreamLog) -> None:
    for part in range(20):
        await mortal.append(drafts(1_000, prefix=f"evt.{part}"))
    sequences: list[int] = []
    async for batch in mortal.read():
        if not sequences:
            await restart(nats_alone)
        sequences += [stored.sequence for stored in batch]
    assert sequences == list(range(1, 20_001))


@pytest.mark.parametrize("number", [1, 50])
async def test_an_append_whose_answer_is_lost_with_the_connection_is_done(
    link: Link, behind_link: JetStreamLog, event_log: JetStreamLog, number: int
) -> None:
    batch = drafts(number)
    link.answers_pass = False
    appending = asyncio.create_task(behind_link.append(batch))
    await link.swallowed.wait()
    assert await event_log.last_sequence() == number
    link.answers_pass = True
    link.cut()
    assert await appending == list(range(1, number + 1))
    assert await event_log.last_sequence() == number


@pytest.mark.parametrize("others", [0, 1])
async def test_an_append_that_had_to_follow_the_newest_is_done_although_its_answer_was_lost(
    link: Link, behind_link: JetStreamLog, event_log: JetStreamLog, others: int
) -> None:
    link.answers_pass = False
    appending = asyncio.create_task(behind_link.append([a_draft("evt.a")._replace(log_ends_at=0)]))
    await link.swallowed.wait()
    await event_log.append(drafts(others))
    link.answers_pass = True
    link.cut()
    assert await appending == [1]


@pytest.mark.slow
async def test_an_append_whose_answer_never_comes_is_done(
    link: Link, behind_link: JetStreamLog, event_log: JetStreamLog
) -> None:
    link.answers_pass = False
    appending = asyncio.create_task(behind_link.append(drafts(3)))
    await link.swallowed.wait()
    link.answers_pass = True
    assert await appending == [1, 2, 3]
    assert await event_log.last_sequence() == 3


@pytest.mark.parametrize("sent", [10, 500, 5_000])
async def test_a_batch_that_is_cut_off_while_it_is_sent_is_stored_once(
    link: Link, behind_link: JetStreamLog, event_log: JetStreamLog, sent: int
) -> None:
    batch = drafts(50)
    link.cut_after = sent
    assert await behind_link.append(batch) == list(range(1, 51))
    assert [stored.subject for stored in await everything(event_log)] == [draft.subject for draft in batch]
    assert link.cut_after is None


async def test_what_was_given_up_is_not_sent_later(nats_alone: NatsProcess, mortal: JetStreamLog) -> None:
    impatient = JetStreamLog(mortal._connection, patience_s=0.3)
    await mortal.append([a_draft("evt.a")])
    nats_alone.kill()
    with pytest.raises(LogUnavailable, match=r"evt\.b and 1 more not appended in 0\.3 s: .*repeat the append"):
        await impatient.append([a_draft("evt.b"), a_draft("evt.c")])
    nats_alone.start()
    assert await mortal.last_sequence() == 1


async def test_a_killed_server_costs_no_task(nats_alone: NatsProcess, mortal: JetStreamLog) -> None:
    queue = JetStreamQueue(mortal._connection)
    for number in (1, 1_500):
        await queue.put(tasks(number))
        await restart(nats_alone)
        assert await queue.pending() == number


async def test_questions_to_a_dead_server_end(nats_alone: NatsProcess, mortal: JetStreamLog) -> None:
    impatient = JetStreamLog(mortal._connection, patience_s=0.3)
    nats_alone.kill()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(LogUnavailable, match=r"not answered in 0\.3 s"):
            await impatient.last("evt.a")
        with pytest.raises(LogUnavailable, match=r"not answered in 0\.3 s"):
            await everything(impatient)


async def test_no_server_at_all_is_said_with_the_remedy(nats_alone: NatsProcess) -> None:
    nats_alone.kill()
    url = nats_alone.url.replace("nats://", "nats://user:secret@")
    with pytest.raises(
        LogUnavailable, match=r"no NATS server at 127\.0\.0\.1:\d+ .*ConnectionRefused.*--nats-url"
    ) as caught:
        await connect(url, "tests", timeout_s=2)
    assert "secret" not in str(caught.value)


async def test_a_follower_outlives_its_consumer(nats: Connection, event_log: JetStreamLog) -> None:
    seen: list[Stored] = []
    following = asyncio.create_task(collect(event_log, seen))
    await event_log.append(drafts(5))
    await eventually(lambda: len(seen) == 5)
    for name in (await nats.api(f"CONSUMER.NAMES.{EVENTS}"))["consumers"]:
        await nats.api(f"CONSUMER.DELETE.{EVENTS}.{name}")
    await event_log.append(drafts(5, prefix="evt.later"))
    await eventually(lambda: len(seen) == 10)
    assert [stored.sequence for stored in seen] == list(range(1, 11))
    following.cancel()


async def test_a_closed_follower_leaves_no_consumer(nats: Connection, event_log: JetStreamLog) -> None:
    await event_log.append(drafts(5))
    async with aclosing(event_log.follow()) as batches:
        await anext(batches)
        assert (await nats.api(f"CONSUMER.NAMES.{EVENTS}"))["total"] == 1
    assert (await nats.api(f"CONSUMER.NAMES.{EVENTS}"))["total"] == 0


async def test_a_follower_notices_that_the_log_was_replaced(nats: Connection, event_log: JetStreamLog) -> None:
    await event_log.append(drafts(5))
    async with aclosing(event_log.follow()) as batches:
        await anext(batches)
        await delete_streams(nats)
        await ensure_streams(nats)
        await event_log.append(drafts(9))
        with pytest.raises(LogDamaged, match="replaced"):
            await anext(batches)


async def test_a_follower_notices_that_the_log_is_gone(nats: Connection, event_log: JetStreamLog) -> None:
    await event_log.append(drafts(5))
    async with aclosing(event_log.follow()) as batches:
        await anext(batches)
        await delete_streams(nats)
        with pytest.raises(LogError, match=f"no stream {EVENTS}"):
            await anext(batches)


async def test_a_follower_notices_that_the_log_went_backwards(
    event_log: JetStreamLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CATCH_UP_S", 0.2)
    await event_log.append(drafts(5))
    async with aclosing(event_log.follow(after=6)) as batches:
        with pytest.raises(LogDamaged, match="ends at sequence 5, before 6"):
            await anext(batches)


async def test_a_slow_follower_misses_nothing(event_log: JetStreamLog) -> None:
    for part in range(15):
        await event_log.append(drafts(1_000, prefix=f"evt.{part}"))
    sequences: list[int] = []
    async with aclosing(event_log.follow()) as batches:
        async for batch in batches:
            sequences += [stored.sequence for stored in batch]
            if len(sequences) == 15_001:
                break
            await event_log.append([a_draft("evt.last")] if len(sequences) == 15_000 else [])
    assert sequences == list(range(1, 15_002))


async def test_a_long_undisturbed_read_is_one_flow(event_log: JetStreamLog) -> None:
    for part in range(15):
        await event_log.append(drafts(1_000, prefix=f"evt.{part}"))
    with capture_logs() as logs:
        assert len(await everything(event_log)) == 15_000
    assert [entry for entry in logs if entry["event"] == reader.BROKEN] == []


@pytest.mark.usefixtures("nats")
async def test_a_server_that_answers_nothing_is_left_for_another(nats_server: NatsProcess, tmp_path: Path) -> None:
    with without_jetstream(tmp_path) as silent:
        while True:  # which of the two comes first is drawn
            async with await connect(f"{silent},{nats_server.url}", "mortal") as connection:
                if connection.address not in silent:
                    continue
                log = JetStreamLog(connection, patience_s=60)
                assert await log.last_sequence() >= 0
                assert connection.address in nats_server.url
                return


@contextmanager
def without_jetstream(home: Path) -> Iterator[str]:
    """A server that takes connections, and knows of no log: as one that is cut off from the others of its cluster."""
    port = free_port()
    process = subprocess.Popen([find_binary(), "-a", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(60)
