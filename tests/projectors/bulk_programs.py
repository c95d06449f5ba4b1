"""A projector that builds even small logs by several processes: `... <nats url> <database url>`."""

from __future__ import annotations

import asyncio
import sys

from events.connection import connect
from events.jetstream import JetStreamLog
from projectors import bulk
from projectors.bulk import Folders
from projectors.database import open_engine
from projectors.runner import Runner
from projectors.topics import PROJECTIONS

STRETCH_EVENTS = 20


async def run(log: JetStreamLog, database_url: str, stop: asyncio.Event) -> None:
    engine = open_engine(database_url, role="projector", command_timeout_s=60)
    try:
        await Runner(log, engine, PROJECTIONS, stop, (), Folders(database_url, processes=2, events_min=1)).run()
    finally:
        await engine.dispose()


async def main(nats_url: str, database_url: str) -> None:
    bulk.STRETCH_EVENTS = STRETCH_EVENTS
    async with await connect(nats_url, "projector") as connection:
        await run(JetStreamLog(connection), database_url, asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
