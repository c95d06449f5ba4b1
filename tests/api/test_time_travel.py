"""What is answered as of a sequence is what was answered when the log ended there, byte for byte."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from events.log import Draft
from events.memory import MemoryLog
from projectors.database import open_engine
from projectors.operations import init
from tests.controls import facts
from tests.controls.random_logs import random_log
from tests.fixtures.http import Api, Written, patient_settings, serving
from tests.fixtures.nats import NatsProcess
from tests.fixtures.projecting import project, projected, running, write

PLACES = 25
PATHS = [
    "/v1/miners",
    "/v1/weights/latest",
    "/v1/weights/20",
    "/v1/scores/latest",
    *(f"/v1/scores/{cycle}" for cycle in (1, 2, 4)),
    "/v1/cycles",
    "/v1/cycles?limit=2&cursor=4",
    *(f"/v1/cycles/{cycle}" for cycle in (1, 3, 4)),
    "/v1/cycles/2/episodes?limit=3",
    "/v1/cycles/3/episodes?uid=2",
    *(f"/v1/cycles/{cycle}/verifications" for cycle in (1, 3, 4)),
    *(f"/v1/cycles/{cycle}/verifications/{uid}" for cycle in (2, 3) for uid in (0, 3)),
    *(f"/v1/cycles/{cycle}/copies" for cycle in (1, 2)),
    "/v1/miners/hotkey-1/verifications",
    "/v1/miners/hotkey-2/verifications?limit=1",
]


async def answered(api: Api, path: str) -> tuple[int, bytes]:
    answer = await api.get(path)
    return answer.status, answer.body


def at_seq(path: str, sequence: int) -> str:
    return f"{path}{'&' if '?' in path else '?'}at_seq={sequence}"


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_past_is_what_was_answered_then(
    seed: int, engine: AsyncEngine, database_url: str, empty_database_url: str, nats_server: NatsProcess
) -> None:
    events = random_log(seed)
    places = sorted(Random(seed).sample(range(1, len(events) + 1), min(PLACES, len(events))))
    whole, growing = MemoryLog(), MemoryLog()
    await whole.append(events)
    await project(whole, engine, database_url)
    await init(empty_database_url)
    then = open_engine(empty_database_url, role="test", command_timeout_s=60)
    async with (
        serving(patient_settings(database_url, nats_server.url)) as now_api,
        serving(patient_settings(empty_database_url, nats_server.url)) as then_api,
        running(growing, empty_database_url),
    ):
        for before, place in zip([0, *places], places, strict=False):
            await growing.append(events[before:place])
            await projected(then, place)
            for path in PATHS:
                # What is in force is kept in memory for a moment, unless it is asked for by the sequence.
                latest = at_seq(path, place) if path == "/v1/weights/latest" else path
                assert await answered(now_api, at_seq(path, place)) == await answered(then_api, latest), (path, place)
    await then.dispose()


@pytest.fixture
async def history(read_side: Written) -> list[Draft]:
    events = random_log(5)
    await read_side.log.append(events)
    await read_side.project()
    return events


def second(event: Draft) -> datetime:
    moment: datetime = datetime.fromisoformat(orjson.loads(event.body)["time"])
    return moment.replace(microsecond=0)


async def test_a_moment_is_the_place_before_the_first_event_of_a_later_second(api: Api, history: list[Draft]) -> None:
    for seconds in range(-3, len(history) // 3 + 3):
        moment = facts.MOMENT + timedelta(seconds=seconds)
        later = (place for place, event in enumerate(history) if second(event) > moment)
        answer = await api.get(f"/v1/miners?at={moment.isoformat().replace('+00:00', 'Z')}")
        assert answer.headers["Kinitro-Sequence"] == str(next(later, len(history)))
        assert answer.body == (await api.get(f"/v1/miners?at_seq={answer.headers['Kinitro-Sequence']}")).body


@pytest.mark.usefixtures("history")
async def test_a_moment_may_have_any_zone(api: Api) -> None:
    here = await api.get("/v1/cycles?at=2026-01-02T03:04:15Z")
    there = await api.get("/v1/cycles?at=2026-01-02T05:34:15.75%2B02:30")
    assert here.headers["Kinitro-Sequence"] == there.headers["Kinitro-Sequence"]
    assert here.body == there.body


@pytest.mark.parametrize(
    "query",
    [
        "at=2026-01-02T03:04:05",
        "at=2026-01-02",
        "at=1767323045",
        "at=2026-13-02T03:04:05Z",
        "at=0001-01-01T00:00:00%2B14:00",
        "at=2026-01-02T03:04:05Z&at_seq=1",
        "at_seq=-1",
        "at_seq=x",
        "at_seq=9223372036854775808",
    ],
)
@pytest.mark.parametrize("path", ["/v1/miners", "/v1/weights/latest", "/v1/scores/latest", "/v1/cycles/1"])
async def test_what_names_no_place_in_the_log_is_refused(api: Api, path: str, query: str) -> None:
    assert await api.problem(f"{path}?{query}") == (422, "invalid-request")


@pytest.mark.parametrize("path", ["/v1/miners", "/v1/weights/latest", "/v1/scores/1", "/v1/cycles"])
async def test_a_place_that_is_not_projected_yet_is_refused_with_the_newest(
    api: Api, history: list[Draft], path: str
) -> None:
    answer = await api.get(f"{path}?at_seq={len(history) + 1}")
    assert (answer.status, answer.json["type"]) == (409, "urn:kinitro:problem:not-yet-projected")
    assert answer.json["newest_sequence"] == len(history)
    assert (await api.get(f"{path}?at_seq={len(history)}")).status == 200


async def test_before_the_first_event_there_was_nothing(api: Api, read_side: Written) -> None:
    await write(read_side.log, facts.discovered(0), *facts.whole_cycle())
    await read_side.project()
    for path in ("/v1/weights/latest", "/v1/scores/1", "/v1/cycles/1", "/v1/cycles/1/episodes"):
        assert (await api.get(f"{path}?at_seq=0")).status == 404
        assert (await api.get(f"{path}?at=2020-01-01T00:00:00Z")).status == 404
    assert (await api.get("/v1/miners?at_seq=0")).json == {"miners": []}
