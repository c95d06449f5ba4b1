"""The read models can be thrown away: made again from the log they give the same answers, byte for byte."""

from __future__ import annotations

import asyncpg

from api.settings import ApiSettings
from events.jetstream import JetStreamLog
from projectors.database import create_database, open_engine
from projectors.operations import init
from tests.controls import facts
from tests.controls.cycles import large_cycle
from tests.fixtures.http import Api, patient_settings, serving_the_log
from tests.fixtures.nats import NatsProcess
from tests.fixtures.postgres import RunningPostgres
from tests.fixtures.projecting import project, write

PATHS = [
    "/health",
    "/v1/weights/latest",
    "/v1/weights/200",
    "/v1/scores/latest",
    "/v1/scores/1",
    "/v1/scores/3",
    "/v1/miners",
    "/v1/environments",
    "/v1/cycles",
    "/v1/cycles/1",
    "/v1/cycles/2",
    "/v1/cycles/3",
    "/v1/cycles/1/episodes?limit=500",
    "/v1/cycles/2/episodes?limit=7&uid=1",
    "/v1/episodes/1.0.metaworld.task-0-v3.0",
    "/v1/episodes/2.3.metaworld.task-1-v3.4",
    "/v1/cycles/1/verifications",
    "/v1/cycles/3/verifications",
    "/v1/cycles/1/verifications/2",
    "/v1/cycles/3/verifications/1",
    "/v1/cycles/2/copies",
    "/v1/miners/hotkey-0/verifications",
    "/v1/miners/hotkey-0/history",
    "/v1/episodes/3.1.metaworld.push-v3.1",
]
CHECKS = [
    facts.verification_failed(1, 0),
    facts.verification_passed(1, 1),
    facts.verification_inconclusive(1, 2),
    facts.verification_passed(3, 0),
    facts.verification_failed(3, 1),
]


async def test_after_the_database_was_dropped_all_answers_are_the_same(
    postgres: RunningPostgres, empty_database_url: str, nats_server: NatsProcess, event_log: JetStreamLog
) -> None:
    url, settings = empty_database_url, patient_settings(empty_database_url, nats_server.url)
    parts = [
        [facts.discovered(0), facts.discovered(1), *large_cycle(1), *CHECKS[:3]],
        [facts.commitment_changed(0), facts.departed(1), *large_cycle(2), facts.copies_found(2)],
        [*facts.whole_cycle(3)[:7], *CHECKS[3:]],
    ]
    await init(url)
    engine = open_engine(url, role="test", command_timeout_s=60)
    for events in parts:  # the first time in pieces, the second time at once
        await write(event_log, *events)
        await project(event_log, engine, url)
    await engine.dispose()
    before = await answers(settings)

    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.execute(f'DROP DATABASE "{url.split("@/")[1].split("?")[0]}" WITH (FORCE)')
    await connection.close()
    await create_database(url)
    await init(url)
    engine = open_engine(url, role="test", command_timeout_s=60)
    await project(event_log, engine, url)
    await engine.dispose()
    assert await answers(settings) == before


async def answers(settings: ApiSettings) -> dict[str, bytes]:
    async with serving_the_log(settings) as api:
        return {path: await answer(api, path) for path in PATHS}


async def answer(api: Api, path: str) -> bytes:
    found = await api.get(path)
    assert found.status == (200 if path != "/v1/scores/3" else 404), found
    return found.body
