"""Exports over HTTP: whole or recognisably not, as fast as the reader and no faster, and enough for a mirror.

`KINITRO_TESTS_LONG=1` exports 100,000 events instead of 30,000.
"""

from __future__ import annotations

import gc
import gzip
import io
import os
import tracemalloc

import aiohttp
import pytest

from api.http.encodings import wants_gzip
from api.settings import ApiSettings
from events.connection import connect
from events.export import check, read
from events.export_api import ApiTrouble, fetch_cycle, fetch_log
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.mirror import bring_in
from events.streams import ensure_streams
from projectors.database import open_engine
from projectors.operations import init
from tests.contracts.event_log import everything
from tests.controls import facts
from tests.controls.cycles import large_cycle
from tests.fixtures.http import NOWHERE, Api, Written, patient_settings, serving, serving_the_log
from tests.fixtures.nats import NatsProcess
from tests.fixtures.projecting import project, write

LARGE = 100_000 if os.environ.get("KINITRO_TESTS_LONG") == "1" else 30_000


def lines(body: bytes) -> list[bytes]:
    return body.splitlines(keepends=True)


async def test_the_log_is_served_byte_for_byte(from_log: Api, event_log: JetStreamLog) -> None:
    await write(event_log, *facts.one_of_each())
    answer = await from_log.get("/v1/events")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert [event.body for event in read(lines(answer.body))] == [it.body for it in await everything(event_log)]


async def test_a_cycle_that_runs_is_served_as_far_as_it_is(from_log: Api, event_log: JetStreamLog) -> None:
    await write(event_log, *facts.whole_cycle(1), *facts.whole_cycle(2)[:4])
    assert check(lines((await from_log.get("/v1/cycles/1/events")).body)).count == 12
    trailer = check(lines((await from_log.get("/v1/cycles/2/events")).body))
    assert (trailer.count, trailer.first_sequence, trailer.last_sequence) == (4, 13, 16)


async def test_pages_follow_each_other(from_log: Api, event_log: JetStreamLog) -> None:
    await write(event_log, *facts.whole_cycle(1))
    trailer = check(lines((await from_log.get("/v1/events?after=3&limit=5")).body))
    assert (trailer.count, trailer.first_sequence, trailer.last_sequence) == (5, 4, 8)


async def test_past_the_end_there_is_a_trailer_and_nothing_else(from_log: Api, event_log: JetStreamLog) -> None:
    await write(event_log, *facts.whole_cycle(1))
    trailer = check(lines((await from_log.get("/v1/events?after=99")).body))
    assert (trailer.count, trailer.first_sequence, trailer.last_sequence) == (0, 100, 99)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/v1/cycles/7/events", (404, "unknown-cycle")),
        ("/v1/cycles/0/events", (422, "invalid-request")),
        ("/v1/cycles/one/events", (422, "invalid-request")),
        ("/v1/events?after=-1", (422, "invalid-request")),
        ("/v1/events?limit=0", (422, "invalid-request")),
        ("/v1/events?limit=1000001", (422, "invalid-request")),
    ],
)
async def test_what_cannot_be_served_is_a_problem(from_log: Api, path: str, problem: tuple[int, str]) -> None:
    assert await from_log.problem(path) == problem


async def test_without_a_log_it_is_a_problem() -> None:
    async with serving(ApiSettings(database_url=NOWHERE, nats_url="nats://127.0.0.1:1")) as api:
        assert await api.problem("/v1/events") == (503, "log-unavailable")
        assert await api.problem("/v1/cycles/1/events") == (503, "log-unavailable")


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=1.0", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip ; q=0.000, br", False),
    ],
)
def test_gzip_is_used_when_it_is_asked_for(accepted: str, wanted: bool) -> None:
    assert wants_gzip(accepted) == wanted


async def test_compressed_it_is_the_same(from_log: Api, event_log: JetStreamLog) -> None:
    await write(event_log, *large_cycle(1))
    plain = await fetched(from_log, "identity")
    packed = await fetched(from_log, "gzip")
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 4


async def fetched(api: Api, encoding: str) -> bytes:
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(f"{api.base_url}/v1/events", headers={"Accept-Encoding": encoding}) as answer,
    ):
        assert answer.headers.get("Content-Encoding", "identity") == encoding
        assert answer.headers["Vary"] == "Accept-Encoding"
        return await answer.read()


async def test_a_client_fetches_what_is_in_the_log(from_log: Api, event_log: JetStreamLog) -> None:
    await write(event_log, *facts.whole_cycle(1), *facts.whole_cycle(2))
    async with aiohttp.ClientSession() as session:
        sink = io.BytesIO()
        trailer = await fetch_log(session, from_log.base_url, 5, sink)
        assert sink.getvalue() == (await from_log.get("/v1/events?after=5")).body
        assert trailer == check(lines(sink.getvalue()))
        sink = io.BytesIO()
        await fetch_cycle(session, from_log.base_url, CycleId(2), sink)
        assert sink.getvalue() == (await from_log.get("/v1/cycles/2/events")).body
        with pytest.raises(ApiTrouble, match="answered 404: there is no cycle 9"):
            await fetch_cycle(session, from_log.base_url, CycleId(9), sink)


@pytest.mark.parametrize("page_events", [1, 5, 12, 23, 24, 25], ids=lambda it: f"{it} of 24")
async def test_a_client_that_fetches_in_pages_has_the_same_export(
    from_log: Api, event_log: JetStreamLog, page_events: int
) -> None:
    await write(event_log, *facts.whole_cycle(1), *facts.whole_cycle(2))
    async with aiohttp.ClientSession() as session:
        for after in (0, 7, 24):
            whole, sink = (await from_log.get(f"/v1/events?after={after}")).body, io.BytesIO()
            trailer = await fetch_log(session, from_log.base_url, after, sink, page_events=page_events)
            assert sink.getvalue() == whole
            assert (trailer.first_sequence, trailer.last_sequence) == (after + 1, 24)


PATHS = ["/v1/weights/latest", "/v1/scores/latest", "/v1/scores/1", "/v1/cycles/1/events", "/v1/cycles/2/events"]


async def test_a_mirror_gives_the_same_answers(
    read_side: Written, api: Api, nats_alone: NatsProcess, empty_database_url: str
) -> None:
    await write(read_side.log, facts.key_announced(), facts.discovered(), *large_cycle(1), *facts.whole_cycle(2))
    await write(read_side.log, facts.root_signed(1), facts.weights_signed(1))
    await read_side.project()
    original = await api.get("/v1/events")
    async with await connect(nats_alone.url, "tests") as connection:
        await ensure_streams(connection)
        mirror = JetStreamLog(connection)
        await bring_in(mirror, read(lines(original.body)), check(lines(original.body)))
        await init(empty_database_url)
        engine = open_engine(empty_database_url, role="test", command_timeout_s=10)
        await project(mirror, engine, empty_database_url)
        await engine.dispose()
        async with serving_the_log(patient_settings(empty_database_url, nats_alone.url)) as other:
            assert (await other.get("/v1/events")).body == original.body
            for path in PATHS:
                ours, theirs = await api.get(path), await other.get(path)
                assert (ours.status, theirs.status) == (200, 200), path
                assert ours.body == theirs.body, path


async def test_memory_does_not_grow_with_an_export(from_log: Api, event_log: JetStreamLog) -> None:
    await write(event_log, *large_cycle(1, miners=50, environments=8, episodes=LARGE // 400))
    gc.collect()
    tracemalloc.start()
    try:
        count = await counted(from_log)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    print(f"{count} events: {held / 2**20:.1f} MiB held, {peak / 2**20:.1f} MiB at most")
    assert count > LARGE
    assert peak < 22 * 2**20


async def counted(api: Api) -> int:
    """Exports a cycle, checks it as it comes, and keeps nothing of it."""
    async with aiohttp.ClientSession() as session:
        with open(os.devnull, "wb") as nowhere:  # noqa: ASYNC230
            return (await fetch_cycle(session, api.base_url, CycleId(1), nowhere)).count
