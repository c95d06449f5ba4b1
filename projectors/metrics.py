"""How far the read models are, for whoever serves metrics: by the log, and so the same from every process."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from events.metrics import LoopHistogram
from projectors.operations import ProjectionStatus

WRITE_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


def projections(statuses: Iterable[ProjectionStatus]) -> Iterator[Metric]:
    """Position, lag and health of each."""
    names = ["projection"]
    sequence = GaugeMetricFamily(
        "kinitro_projection_sequence", "By the log: the newest event in this read model.", labels=names
    )
    lag = GaugeMetricFamily(
        "kinitro_projection_lag_events",
        "By the log: how many events this read model is behind; NaN while the log is away.",
        labels=names,
    )
    stopped = GaugeMetricFamily(
        "kinitro_projection_stopped", "Whether an event stands in its way; /readyz says which.", labels=names
    )
    for status in statuses:
        sequence.add_metric([status.name], status.sequence)
        lag.add_metric([status.name], math.nan if status.lag is None else status.lag)
        stopped.add_metric([status.name], status.error is not None)
    return iter((sequence, lag, stopped))


class ProjectorMetrics(Collector):
    """What a projector process tells: where the read models stand, and how long it takes to write them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._statuses: list[ProjectionStatus] | None = None
        self.write_s = LoopHistogram(
            "kinitro_projector_write_seconds",
            "Of this process: how long one batch of events took to be written to all read models.",
            WRITE_BUCKETS_S,
            registry,
        )
        registry.register(self)

    def found(self, statuses: list[ProjectionStatus] | None) -> None:
        """Takes what was asked of the database just now; None if it did not answer."""
        self._statuses = statuses

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("kinitro_database_up", "Whether PostgreSQL answered this process just now.")
        up.add_metric([], self._statuses is not None)
        yield up
        if self._statuses is not None:
            yield from projections(self._statuses)
