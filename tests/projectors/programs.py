"""A projector as a process of its own: `python -m tests.projectors.programs <nats url> <database url>`."""

from __future__ import annotations

import asyncio
import sys

from events.connection import connect
from events.jetstream import JetStreamLog
from projectors.operations import run_projectors


async def main(nats_url: str, database_url: str) -> None:
    async with await connect(nats_url, "projector") as connection:
        await run_projectors(JetStreamLog(connection), database_url, stop=asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
