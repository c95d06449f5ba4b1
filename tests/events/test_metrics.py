"""The histogram of the event loop counts as the library's does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import generate_latest

from events.metrics import LoopHistogram

BOUNDS = (0.5, 1, 2.5)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 2.0, 2.5, 3.0, 100.0])))
def test_it_says_what_the_library_says(values: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = LoopHistogram("h_seconds", "Times.", BOUNDS, ours)
    other = Histogram("h_seconds", "Times.", buckets=BOUNDS, registry=theirs)
    for value in values:
        mine.observe(value)
        other.observe(value)
    assert _samples(ours) == _samples(theirs)


def _samples(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]
