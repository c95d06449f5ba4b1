"""A projector that is watched: its lag by the database, its writes, and the last span of an episode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from events.codec import draft
from events.envelope import begin
from events.jetstream import JetStreamLog
from events.log import Draft
from events.metrics_server import MetricsUnavailable
from events.tracing import event_span, trace_of
from events.watching_options import MetricsOptions, TracingOptions
from projectors.operations import run_projectors
from projectors.watching import watching
from tests.controls import facts
from tests.fixtures.collector import collecting
from tests.fixtures.ports import free_port
from tests.fixtures.projecting import projected, write

NOT_TRACED, NOT_MEASURED = TracingOptions(), MetricsOptions()


@asynccontextmanager
async def projecting(
    log: JetStreamLog, url: str, metrics: MetricsOptions, tracing: TracingOptions
) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with watching(log, url, metrics, tracing) as told:
        running = asyncio.create_task(run_projectors(log, url, stop=stop, told=told))
        try:
            yield
        finally:
            stop.set()
            await running


async def scraped(port: int) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as response:
        return await response.text()


async def test_lag_and_stopped_projections_are_told(
    event_log: JetStreamLog, engine: AsyncEngine, database_url: str
) -> None:
    metrics = MetricsOptions(metrics_port=free_port())
    assert metrics.metrics_port is not None
    end = await write(event_log, *facts.whole_cycle())
    async with watching(event_log, database_url, metrics, NOT_TRACED):
        assert f'kinitro_projection_lag_events{{projection="cycles"}} {float(end)}' in await scraped(
            metrics.metrics_port
        )
    async with projecting(event_log, database_url, metrics, NOT_TRACED):
        await projected(engine, end)
        text = await scraped(metrics.metrics_port)
        assert 'kinitro_projection_lag_events{projection="cycles"} 0.0' in text
        assert 'kinitro_projection_stopped{projection="weights"} 0.0' in text
        assert "kinitro_projector_write_seconds_count 0.0" not in text
        assert "kinitro_database_up 1.0" in text
        await event_log.append([Draft("evt.weights.1000", "spoilt", b"no event")])
        await projected(engine, end + 1, ["cycles", "episodes"])
    async with watching(event_log, database_url, metrics, NOT_TRACED):
        assert 'kinitro_projection_stopped{projection="weights"} 1.0' in await scraped(metrics.metrics_port)


async def test_an_outcome_that_is_projected_ends_its_trace(
    event_log: JetStreamLog, engine: AsyncEngine, database_url: str
) -> None:
    fresh, old = facts.completed(facts.key(index=0)), facts.completed(facts.key(index=1))
    now = datetime.now(UTC)
    envelopes = [
        begin(fresh, source="/test", time=now),
        begin(old, source="/test", time=now - timedelta(days=1)),
    ]
    await write(event_log, facts.planned(), facts.seeded())
    async with collecting() as collector:
        async with projecting(event_log, database_url, NOT_MEASURED, TracingOptions(otlp_endpoint=collector.url)):
            end = (await event_log.append([draft(envelope) for envelope in envelopes]))[-1]
            await projected(engine, end)
        [span] = collector.spans
    assert (span.service, span.name) == ("kinitro-projector", "project")
    assert span.trace_id == trace_of(envelopes[0].correlation, fresh.key)
    assert span.parent_id == event_span(envelopes[0].id, "append")


async def test_a_port_in_use_is_told_with_a_remedy(event_log: JetStreamLog, database_url: str) -> None:
    metrics = MetricsOptions(metrics_port=free_port())
    async with watching(event_log, database_url, metrics, NOT_TRACED):
        with pytest.raises(MetricsUnavailable, match="choose another --metrics-port"):
            async with watching(event_log, database_url, metrics, NOT_TRACED):
                pass
