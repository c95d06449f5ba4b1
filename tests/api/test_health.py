"""The API starts without its parts, says which are away, and finds them when they come."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator

import pytest

from api.settings import ApiSettings
from api.sources import LogWatch
from events import frames
from events.connection import Connection, connect
from events.jetstream import UNAPPENDED
from events.log import Draft, LogUnavailable
from events.streams import ensure_streams
from projectors.database import create_database
from projectors.operations import init
from tests.controls import facts
from tests.eventually import eventually
from tests.fixtures.guarded import GuardedNats, guarded
from tests.fixtures.http import Api, Written, patient_settings, serving, serving_the_log
from tests.fixtures.nats import NatsProcess
from tests.fixtures.ports import free_port
from tests.fixtures.postgres import RunningPostgres
from tests.fixtures.projecting import write


@pytest.fixture
async def own(postgres_alone: RunningPostgres, nats_alone: NatsProcess) -> AsyncIterator[Api]:
    """An API on servers that the test may kill."""
    await create_database(postgres_alone.server.url)
    await init(postgres_alone.server.url)
    async with await connect(nats_alone.url, "tests") as connection:
        await ensure_streams(connection)
    settings = ApiSettings(
        database_url=postgres_alone.server.url, nats_url=nats_alone.url, database_timeout_s=5.0, log_timeout_s=3.0
    )
    async with serving(settings) as api:
        await eventually(lambda: is_healthy(api))
        yield api


@pytest.fixture(scope="module")
def accounts() -> Iterator[GuardedNats]:
    with guarded() as server:
        yield server


async def is_healthy(api: Api) -> bool:
    return (await api.get("/health")).status == 200


async def test_without_the_database_it_says_so_and_recovers(own: Api, postgres_alone: RunningPostgres) -> None:
    postgres_alone.kill()
    answer = await own.get("/health")
    assert (answer.status, answer.json["status"], answer.json["database"]) == (503, "unhealthy", "unavailable")
    assert answer.json["degraded"] == ["database"]
    assert await own.problem("/v1/status") == (503, "database-unavailable")
    assert await own.problem("/v1/weights/latest") == (503, "database-unavailable")
    postgres_alone.start()
    await eventually(lambda: is_healthy(own))
    assert (await own.get("/v1/status")).status == 200


async def test_without_the_log_it_says_so_and_recovers(own: Api, nats_alone: NatsProcess) -> None:
    nats_alone.kill()
    answer = await own.get("/health")
    assert (answer.status, answer.json["log"], answer.json["database"]) == (503, "unavailable", "connected")
    assert answer.json["degraded"] == ["log"]
    assert (await own.get("/v1/status")).status == 200
    nats_alone.start()
    await eventually(lambda: is_healthy(own))


async def test_it_starts_while_everything_is_away(tmp_path_factory: pytest.TempPathFactory) -> None:
    nowhere = tmp_path_factory.mktemp("nowhere")
    settings = ApiSettings(
        database_url=f"postgresql://kinitro@/kinitro?host={nowhere}",
        nats_url=f"nats://127.0.0.1:{free_port()}",
        log_timeout_s=0.5,
    )
    async with serving(settings) as api:
        assert (await api.get("/livez")).status == 200
        answer = await api.get("/readyz")
        assert (answer.status, answer.json["degraded"]) == (503, ["database", "log"])


async def test_a_database_without_read_models_is_named(
    empty_database_url: str, nats_server: NatsProcess, nats: object
) -> None:
    async with serving_the_log(patient_settings(empty_database_url, nats_server.url)) as api:
        assert await api.problem("/v1/status") == (503, "read-models-missing")
        health = await api.get("/health")
        assert (health.status, health.json["status"]) == (200, "degraded")
        assert "start a projector" in health.json["projections"]["weights"]["error"]


async def test_a_stopped_projection_makes_it_degraded_and_not_ready(api: Api, read_side: Written) -> None:
    await read_side.log.append([Draft("evt.weights.1", "spoilt", b"no event")])
    await write(read_side.log, facts.planned())
    await read_side.project(failing=("weights",))
    health, ready = await api.get("/health"), await api.get("/readyz")
    assert (health.status, health.json["status"], health.json["degraded"]) == (
        200,
        "degraded",
        ["projection weights"],
    )
    assert "MalformedEvent" in health.json["projections"]["weights"]["error"]
    assert ready.status == 503


async def test_lag_makes_it_not_ready(database_url: str, nats_server: NatsProcess, read_side: Written) -> None:
    await write(read_side.log, *facts.whole_cycle())
    settings = dataclasses.replace(patient_settings(database_url, nats_server.url), lag_max=5)
    async with serving_the_log(settings) as api:
        answer = await api.get("/readyz")
        assert answer.status == 503
        assert answer.json["projections"]["cycles"]["lag"] == 12
        await read_side.project()
        assert (await api.get("/readyz")).status == 200


async def test_a_chain_that_is_away_makes_it_degraded_and_leaves_it_ready(api: Api, read_side: Written) -> None:
    trouble = facts.degraded(3)
    await write(read_side.log, facts.degraded(1), facts.restored(2), trouble)
    await read_side.project()
    health, ready = await api.get("/health"), await api.get("/readyz")
    assert (health.status, health.json["status"], health.json["degraded"]) == (200, "degraded", ["discovery"])
    assert (health.json["discovery"]["code"], health.json["discovery"]["detail"]) == (trouble.code, trouble.detail)
    assert ready.status == 200
    await write(read_side.log, facts.restored(4))
    await read_side.project()
    health = await api.get("/health")
    assert (health.json["status"], health.json["discovery"], health.json["degraded"]) == ("healthy", None, [])


async def test_a_log_that_takes_no_appends_is_not_ready(api: Api, read_side: Written, nats: Connection) -> None:
    await write(read_side.log, facts.discovered(0))
    await read_side.project()
    assert (await api.get("/readyz")).status == 200
    await nats.send(frames.publish(UNAPPENDED, b""))
    await eventually(lambda: is_read_only(api))
    assert (await api.get("/health")).status == 200, "what there is can be read"


async def is_read_only(api: Api) -> bool:
    answer = await api.get("/readyz")
    return answer.status == 503 and answer.json["log"] == "read-only" and answer.json["degraded"] == ["log"]


async def test_an_api_that_is_not_let_in_says_why(accounts: GuardedNats) -> None:
    """It goes on trying: the server may be the one that is wrong, until somebody starts it with other passwords."""
    watch = LogWatch(ApiSettings(database_url="", nats_url=accounts.url("api", password="mistyped")))
    try:
        await eventually(lambda: "wrong user or password" in why_away(watch))
    finally:
        await watch.close()


def why_away(watch: LogWatch) -> str:
    with pytest.raises(LogUnavailable) as reason:
        watch.connected()
    return str(reason.value)
