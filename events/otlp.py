"""Sends spans to an OpenTelemetry collector (OTLP over HTTP). Imported only where an endpoint is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from events.tracing import Span, Tell

EXPORT_S = 3.0
QUEUE_MAX = 8_192
"""Spans that wait to be sent; more are dropped, with a warning of the library's."""


@asynccontextmanager
async def telling(endpoint: str, service: str) -> AsyncIterator[Tell]:
    """Sends what it is told to `<endpoint>/v1/traces`, from a thread of its own, in batches.

    A collector that is away costs spans, and nothing else. At the end what is left is sent, within `EXPORT_S`.
    """
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_S)
    processor = BatchSpanProcessor(exporter, max_queue_size=QUEUE_MAX)
    resource = Resource({"service.name": f"kinitro-{service}"})
    scope = InstrumentationScope("kinitro")

    def tell(span: Span) -> None:
        processor.on_end(_readable(span, resource, scope))

    try:
        yield tell
    finally:
        await asyncio.to_thread(processor.shutdown)


def _readable(span: Span, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    parent = span.parent_id
    status = Status(StatusCode.ERROR, span.error) if span.error is not None else Status(StatusCode.UNSET)
    return ReadableSpan(
        name=span.name,
        context=SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=sampled),
        parent=None if parent is None else SpanContext(span.trace_id, parent, is_remote=True, trace_flags=sampled),
        resource=resource,
        attributes=dict(span.attributes),
        start_time=span.began_ns,
        end_time=span.ended_ns,
        status=status,
        instrumentation_scope=scope,
    )
