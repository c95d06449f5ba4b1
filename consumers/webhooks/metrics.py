"""What is measured of webhooks."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from consumers.webhooks.delivery import Result
from consumers.webhooks.handler import Told


def attempts(registry: CollectorRegistry) -> Told:
    """Counts attempts by endpoint and result."""
    counter = Counter(
        "kinitro_webhook_attempts_total",
        "Of this process: attempts to deliver an event, by endpoint and result (delivered, failed, gone).",
        ["endpoint", "result"],
        registry=registry,
    )

    def told(place: str, result: Result) -> None:
        counter.labels(place, result.value).inc()

    return told
