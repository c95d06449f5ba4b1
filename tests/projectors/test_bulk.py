"""Building by several processes gives what one gives; where it cannot, nothing is lost but time.

`KINITRO_TESTS_LONG=1` compares 20 random logs instead of 2.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.jetstream import JetStreamLog
from events.log import Draft
from projectors import schemas
from projectors.beginning import from_nothing
from projectors.bulk import Bulk, Folders
from projectors.compare import Identical
from projectors.projector import Projector
from projectors.rebuild import rebuild_in_bulk
from projectors.replay import Replay
from projectors.runner import Runner
from projectors.topics import PROJECTIONS
from projectors.weights.project import PROJECTION as WEIGHTS
from tests.controls.random_logs import random_log
from tests.fixtures.projecting import project, projected
from tests.projectors.dumps import dump, rows

SEEDS = range(21, 41 if os.environ.get("KINITRO_TESTS_LONG") == "1" else 23)


def folders(url: str) -> Folders:
    return Folders(url, processes=2, events_min=1)


async def keys(engine: AsyncEngine) -> list[str]:
    """All indexes and constraints of the read models."""
    query = text("SELECT schemaname || indexdef FROM pg_indexes WHERE schemaname = ANY(:names) ORDER BY 1")
    async with engine.connect() as connection:
        return list(await connection.scalars(query.bindparams(names=[it.name for it in PROJECTIONS])))


async def built(log: JetStreamLog, engine: AsyncEngine, url: str, last: int) -> list[Projector]:
    projectors = [await from_nothing(log, engine, it) for it in PROJECTIONS]
    await Bulk(log, folders(url)).build(dict.fromkeys(projectors, last), asyncio.Event())
    return projectors


async def spoilt(log: JetStreamLog, drafts: Sequence[Draft]) -> None:
    """A log with an event at the place of weights that is none."""
    await log.append(drafts[:50])
    await log.append([Draft("evt.weights.99", "spoilt", b"no event")])
    await log.append(drafts[50:])


@pytest.mark.parametrize("seed", SEEDS)
async def test_several_processes_write_the_rows_and_keys_that_one_writes(
    event_log: JetStreamLog, engine: AsyncEngine, database_url: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("projectors.bulk.STRETCH_EVENTS", 7)
    monkeypatch.setattr("projectors.bulk.FLUSH_STRETCHES", 3)
    drafts = random_log(seed)
    await event_log.append(drafts)
    await project(event_log, engine, database_url)
    before, keys_before = await dump(engine), await keys(engine)
    projectors = await built(event_log, engine, database_url, len(drafts))
    assert [it.checkpoint.sequence for it in projectors] == [len(drafts)] * len(PROJECTIONS)
    assert await rows(engine, suffix="_next") == {name: it for name, it in before.items() if "checkpoint" not in name}
    for it in await Replay(event_log, engine, PROJECTIONS, folders=folders(database_url)).run():
        assert it.comparison == Identical(len(drafts))
    assert await dump(engine) == before
    assert await keys(engine) == keys_before


async def test_an_event_that_one_cannot_project_stops_that_one_only(
    event_log: JetStreamLog, engine: AsyncEngine, database_url: str
) -> None:
    drafts = random_log(22)
    await spoilt(event_log, drafts)
    done = await rebuild_in_bulk(event_log, engine, PROJECTIONS, folders(database_url), asyncio.Event())
    assert done == set(PROJECTIONS) - {WEIGHTS}
    async with engine.connect() as connection:
        positions = await schemas.positions(connection, PROJECTIONS)
    assert positions == {it: 0 if it is WEIGHTS else len(drafts) + 1 for it in PROJECTIONS}


async def test_an_empty_database_is_filled_in_bulk_up_to_where_an_event_cannot_be_projected(
    event_log: JetStreamLog, engine: AsyncEngine, database_url: str
) -> None:
    drafts = random_log(22)
    await spoilt(event_log, drafts)
    stop = asyncio.Event()
    task = asyncio.create_task(Runner(event_log, engine, PROJECTIONS, stop, (), folders(database_url)).run())
    await projected(engine, len(drafts) + 1, [it.name for it in PROJECTIONS if it is not WEIGHTS])
    await projected(engine, 50, [WEIGHTS.name])
    stop.set()
    await task
    async with engine.connect() as connection:
        live = await schemas.live_checkpoint(connection, WEIGHTS)
    assert live is not None
    assert live.sequence == 50
    assert "evt.weights.99" in (live.error or "")


async def test_where_the_processes_cannot_work_one_does_it_all(
    event_log: JetStreamLog, engine: AsyncEngine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = random_log(23)
    await event_log.append(drafts)
    await project(event_log, engine, database_url)
    before = await dump(engine)
    monkeypatch.setattr("projectors.crew.sys.executable", "/bin/false")
    assert {it.checkpoint.sequence for it in await built(event_log, engine, database_url, len(drafts))} == {0}
    for it in await Replay(event_log, engine, PROJECTIONS, folders=folders(database_url)).run():
        assert it.comparison == Identical(len(drafts))
    assert await dump(engine) == before
