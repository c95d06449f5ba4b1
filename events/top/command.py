"""`kinitro top`: what is running now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import aiohttp
import typer

from events import display
from events.cli import LogOptions, Servers, open_log, options, run, until
from events.jetstream import JetStreamLog
from events.logging import LogLevel
from events.top.api_source import ApiSource
from events.top.show import show
from events.top.sources import LogSource, Source


@options
def top(
    context: typer.Context,
    log: LogOptions,
    api_url: Annotated[str | None, typer.Option(help="A public API, instead of the log.")] = None,
) -> None:
    """Show the running cycle as it fills up, miner by environment, and then the next.

    q or Ctrl-C ends it; the arrows and PgUp, PgDn, Home, End move through the miners. Without a terminal it prints a
    line now and then.
    """

    async def main(stop: asyncio.Event) -> None:
        async with _source(context.obj, log, api_url) as source:
            await until(stop, show(source, display.console()))

    # Whether the connection is there stands on the screen, which warnings would spoil.
    run(main, LogLevel.ERROR)


@asynccontextmanager
async def _source(servers: Servers, log: LogOptions, api_url: str | None) -> AsyncIterator[Source]:
    if api_url is not None:
        async with aiohttp.ClientSession() as session:
            yield ApiSource(session, api_url.rstrip("/"))
        return
    async with open_log(servers, log, "top") as connection:
        yield LogSource(
            JetStreamLog(connection), f"the log at {connection.address}", lambda: connection.client.is_connected
        )
