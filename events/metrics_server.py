"""A role's metrics over HTTP: on a port for Prometheus, on a Unix socket for the parent process.

MetricsUnavailable    the port cannot be listened on
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from events.for_people import ForPeople

REFRESH_S = 5.0
"""How long what is asked of other servers may take; then the answer is given without."""
SHUTDOWN_S = 0.5
MAX_HEADER_BYTES = 8_190

Refresh = Callable[[], Awaitable[None]]
"""Brings numbers up to date that are asked of others. It raises nothing: the numbers say what it could not do."""

logger = structlog.get_logger(__name__)


class MetricsUnavailable(ForPeople):
    """Metrics cannot be served there; choose another port or host."""


async def nothing() -> None:
    """There is nothing to refresh."""


@asynccontextmanager
async def serving_metrics(
    registry: CollectorRegistry, host: str, port: int | None, refresh: Refresh = nothing
) -> AsyncIterator[None]:
    """`/metrics` on this port for as long as this is open; nothing where it is None.

    Raises:
        MetricsUnavailable: the port is in use, or the host none of ours.
    """
    if port is None:
        yield
        return
    async with _running(registry, refresh) as runner:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise MetricsUnavailable(
                f"metrics cannot be served on {host}:{port}: {error.strerror}; choose another --metrics-port or"
                " --metrics-host"
            ) from error
        logger.info("metrics", url=f"http://{host}:{port}/metrics")
        yield


@asynccontextmanager
async def serving_metrics_locally(
    registry: CollectorRegistry, path: Path, refresh: Refresh = nothing
) -> AsyncIterator[None]:
    """`/metrics` on a Unix socket, in the place of one that a process before us has left."""
    async with _running(registry, refresh) as runner:
        await web.UnixSite(runner, str(path)).start()
        yield


@asynccontextmanager
async def _running(registry: CollectorRegistry, refresh: Refresh) -> AsyncIterator[web.AppRunner]:
    refreshing = asyncio.Lock()

    async def metrics(request: web.Request) -> web.Response:
        async with refreshing:
            try:
                async with asyncio.timeout(REFRESH_S):
                    await refresh()
            except TimeoutError:
                logger.warning("metrics are not up to date", waited_s=REFRESH_S)
        body, media_type = exposition(registry, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": media_type})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=SHUTDOWN_S, max_line_size=MAX_HEADER_BYTES, handle_signals=False
    )
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Everything in the registry, and its media type: Prometheus' own text or OpenMetrics, as asked for."""
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type
