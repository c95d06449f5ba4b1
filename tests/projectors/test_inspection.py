"""What an operator is told of a read model that has stopped."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from events.jetstream import JetStreamLog
from events.log import Draft
from projectors.inspection import Obstacle, obstacle
from projectors.operations import ProjectionStatus, positions
from projectors.weights.project import PROJECTION as WEIGHTS
from tests.controls.random_logs import random_log
from tests.fixtures.projecting import project

ROOT = Path(__file__).parents[2]


async def stopped_at(
    log: JetStreamLog, engine: AsyncEngine, url: str, body: bytes
) -> tuple[ProjectionStatus, Obstacle]:
    """The log has an event of this body at the place of weights, at sequence 51."""
    drafts = random_log(31)
    await log.append([*drafts[:50], Draft("evt.weights.99", "spoilt", body), *drafts[50:]])
    await project(log, engine, url, failing=[WEIGHTS.name])
    (status,) = (it for it in await positions(log, url) if it.name == WEIGHTS.name)
    found = await obstacle(log, WEIGHTS, status)
    assert found is not None
    assert found.sequence == 51
    return status, found


async def test_an_event_that_is_none_is_shown_with_the_place_that_refuses_it(
    event_log: JetStreamLog, engine: AsyncEngine, database_url: str
) -> None:
    status, found = await stopped_at(event_log, engine, database_url, b"no event")
    assert "evt.weights.99" in (status.error or "")
    assert "(since 20" in (status.error or "")
    assert found.stored == await event_log.at(51)
    assert "MalformedEvent at events/codec.py:" in (found.refusal or "")
    assert "kinitro replay weights" in found.remedy


async def test_an_event_of_a_newer_program_asks_for_an_upgrade(
    event_log: JetStreamLog, engine: AsyncEngine, database_url: str
) -> None:
    document = {"type": "kinitro.weights.dreamt", "schemaversion": 1}
    _, found = await stopped_at(event_log, engine, database_url, orjson.dumps(document))
    assert "UnknownEventType" in (found.refusal or "")
    assert "upgrade this one" in found.remedy


async def test_what_this_program_can_fold_only_wants_a_restart(
    event_log: JetStreamLog, engine: AsyncEngine, database_url: str
) -> None:
    await event_log.append(random_log(32))
    await project(event_log, engine, database_url)
    status = ProjectionStatus(WEIGHTS.name, WEIGHTS.version, 6, 1, "event at sequence 7 (evt.x): an older program's")
    found = await obstacle(event_log, WEIGHTS, status)
    assert found is not None
    assert (found.sequence, found.refusal) == (7, None)
    assert "a restarted projector tries again" in found.remedy


async def test_the_commands_show_the_event_and_hide_no_other_read_model(
    event_log: JetStreamLog, engine: AsyncEngine, database_url: str
) -> None:
    status, _ = await stopped_at(event_log, engine, database_url, b"no event")
    told = await printed("inspect", "--nats-url", event_log.url, "--database-url", database_url)
    for name in ("cycles", "episodes", "miners", "moments", "verifications"):
        assert (
            f"{name}: at sequence {status.sequence + (status.lag or 0)}, 0 behind; nothing stands in its way" in told
        )
    assert f"weights: stopped; it stands at sequence 50, {status.lag} behind" in told
    assert "evt.weights.99\n    8 bytes, no JSON: b'no event'" in told
    told = await printed("status", "--nats-url", event_log.url, "--database-url", database_url)
    assert "kinitro db inspect weights" in told


async def printed(*arguments: str) -> str:
    """By `kinitro db ARGUMENTS`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "kinitro.py"), "db", *arguments), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()
