"""Whether and where a process is watched: metrics and traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer


@dataclass(frozen=True)
class MetricsOptions:
    """Where a role that has no port of its own is asked for its metrics."""

    metrics_port: Annotated[
        int | None,
        typer.Option(
            envvar="KINITRO_BACKEND_METRICS_PORT",
            min=1,
            max=65533,
            help="Serve /metrics (Prometheus) on this port; none when absent.",
        ),
    ] = None
    metrics_host: Annotated[
        str, typer.Option(envvar="KINITRO_BACKEND_METRICS_HOST", help="Address to serve it on.")
    ] = "127.0.0.1"


@dataclass(frozen=True)
class TracingOptions:
    """No traces unless a collector is named."""

    otlp_endpoint: Annotated[
        str | None,
        typer.Option(
            envvar="KINITRO_OTLP_ENDPOINT",
            help="Send traces of episodes to this OpenTelemetry collector, for example http://127.0.0.1:4318.",
        ),
    ] = None
