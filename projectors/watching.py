"""Who looks on while a projector writes: metrics and traces, either of which may be absent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from events.log import EventLog, Stored
from events.metrics import new_registry
from events.metrics_server import serving_metrics
from events.watching_options import MetricsOptions, TracingOptions
from projectors.metrics import ProjectorMetrics
from projectors.operations import looking
from projectors.passes import Projected
from projectors.traces import ProjectionTraces

LOOK_S = 2.0
"""How long a scrape waits for the end of the log."""


@asynccontextmanager
async def watching(
    log: EventLog, database_url: str, metrics: MetricsOptions, tracing: TracingOptions
) -> AsyncIterator[Sequence[Projected]]:
    """Who is to be told of what was projected, for as long as this is open.

    Raises:
        MetricsUnavailable: the port is in use.
    """
    told: list[Projected] = []
    async with AsyncExitStack() as stack:
        if metrics.metrics_port is not None:
            look = await stack.enter_async_context(looking(database_url))
            registry = new_registry()
            numbers = ProjectorMetrics(registry)

            async def refresh() -> None:
                numbers.found(await look(log))

            def measured(_: Sequence[Stored], duration_s: float) -> None:
                numbers.write_s.observe(duration_s)

            await stack.enter_async_context(
                serving_metrics(registry, metrics.metrics_host, metrics.metrics_port, refresh)
            )
            told.append(measured)
        if tracing.otlp_endpoint is not None:
            from events.otlp import telling  # it is large, and most have no use for it

            tell = await stack.enter_async_context(telling(tracing.otlp_endpoint, "projector"))
            told.append(ProjectionTraces(tell).projected)
        yield told
