"""`kinitro api`: read models and the log over HTTP."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from api.open_files import allow_open_files
from api.server import listening, run_api
from api.settings import ApiSettings
from events.cli import LogOptions, ProcessOptions, open_log, options, run
from projectors.commands import DatabaseOptions
from projectors.database import check_answers


@dataclass(frozen=True)
class ApiOptions:
    """Where to listen."""

    host: Annotated[str, typer.Option(envvar="KINITRO_BACKEND_HOST", help="Address to listen on.")] = "0.0.0.0"  # noqa: S104
    port: Annotated[int, typer.Option(envvar="KINITRO_BACKEND_PORT", min=1, max=65535, help="Port.")] = 8000


@dataclass(frozen=True)
class IntervalOption:
    """What the API needs to know of the scheduler's options."""

    eval_interval: Annotated[
        int,
        typer.Option(envvar="KINITRO_BACKEND_EVAL_INTERVAL_SECONDS", min=1, help="Seconds from plan to plan."),
    ] = 3600


@dataclass(frozen=True)
class ClientOptions:
    """Who asks, and how much."""

    requests_per_minute: Annotated[
        int,
        typer.Option(
            envvar="KINITRO_BACKEND_REQUESTS_PER_MINUTE",
            min=0,
            help="Of one client, which is an address; 0 for no limit. This machine has none.",
        ),
    ] = 6000
    trusted_proxies: Annotated[
        str,
        typer.Option(
            envvar="KINITRO_BACKEND_TRUSTED_PROXIES",
            help="Addresses and networks whose X-Forwarded-For is believed, separated by commas.",
        ),
    ] = "127.0.0.1,::1"


@options
def serve(
    context: typer.Context,
    address: ApiOptions,
    log: LogOptions,
    database: DatabaseOptions,
    interval: IntervalOption,
    clients: ClientOptions,
    process: ProcessOptions,
) -> None:
    """Serve the read models, the history and the weights over HTTP."""

    async def main(stop: asyncio.Event) -> None:
        with listening(address.host, address.port):
            pass  # before servers are started for nothing
        async with (
            context.obj.database(database.database_url) as database_url,
            context.obj.nats(log.nats_url) as nats_url,
        ):
            settings = ApiSettings(
                database_url=database_url,
                nats_url=nats_url,
                eval_interval_s=interval.eval_interval,
                requests_per_minute=clients.requests_per_minute,
                trusted_proxies=clients.trusted_proxies,
            )
            async with open_log(context.obj, replace(log, nats_url=nats_url), "api"):
                await check_answers(database_url)
            allow_open_files(settings.streams_max)
            gc.collect()
            gc.freeze()  # classes and modules stay: walking through them takes a tenth of the fastest answers' time
            await run_api(settings, host=address.host, port=address.port, stop=stop)

    run(main, process.log_level)
