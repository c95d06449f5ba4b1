"""Recordings beside the log: kept for a time, limited in size, never in the way."""

from __future__ import annotations

import pytest

from events import subjects
from events.connection import Connection
from events.log import StreamMismatch
from events.stream_settings import TRACE_BYTES_MAX, TRACES, TraceLimits
from events.streams import ensure_streams
from events.traces import TraceNotKept, TraceStore
from tests.controls import facts
from tests.eventually import eventually

KEY = facts.key()
DIGEST = "ab" * 32


@pytest.fixture
async def store(nats: Connection) -> TraceStore:
    await ensure_streams(nats, traces=TraceLimits())
    return TraceStore(nats)


async def config(nats: Connection) -> dict[str, object]:
    found: dict[str, object] = (await nats.api(f"STREAM.INFO.{TRACES}"))["config"]
    return found


async def test_a_recording_comes_back_as_it_was(store: TraceStore) -> None:
    await store.keep(KEY, 1, DIGEST, b"\x00recorded\xff")
    assert await store.fetch(KEY, 1, DIGEST) == b"\x00recorded\xff"


async def test_attempts_and_actions_are_told_apart(store: TraceStore) -> None:
    await store.keep(KEY, 1, DIGEST, b"of this one")
    assert await store.fetch(KEY, 2, DIGEST) is None
    assert await store.fetch(KEY, 1, "cd" * 32) is None


async def test_a_recording_kept_twice_is_there_once(nats: Connection, store: TraceStore) -> None:
    for _ in range(2):
        await store.keep(KEY, 1, DIGEST, b"recorded")
    assert (await nats.api(f"STREAM.INFO.{TRACES}"))["state"]["messages"] == 1


async def test_a_recording_that_is_too_long_is_refused_here(store: TraceStore) -> None:
    with pytest.raises(TraceNotKept, match=f"the limit is {TRACE_BYTES_MAX}"):
        await store.keep(KEY, 1, DIGEST, bytes(TRACE_BYTES_MAX + 1))


async def test_without_a_stream_there_is_no_recording(nats: Connection) -> None:
    store = TraceStore(nats)
    with pytest.raises(TraceNotKept, match=r"no answer in 0\.1 s"):
        await store.keep(KEY, 1, DIGEST, b"recorded", patience_s=0.1)
    assert await store.fetch(KEY, 1, DIGEST) is None
    assert await store.age_hours_max() is None


async def test_the_limits_are_three_days_and_two_gibibytes_unless_told_otherwise(
    nats: Connection, store: TraceStore
) -> None:
    kept = await config(nats)
    assert (kept["max_age"], kept["max_bytes"], kept["discard"]) == (3 * 86_400 * 10**9, 2 * 2**30, "old")
    assert await store.age_hours_max() == 72


async def test_other_limits_are_applied_to_what_is_there(nats: Connection, store: TraceStore) -> None:
    await store.keep(KEY, 1, DIGEST, b"recorded")
    await ensure_streams(nats, traces=TraceLimits(age_hours=1, bytes_max=10**6))
    kept = await config(nats)
    assert (kept["max_age"], kept["max_bytes"]) == (3_600 * 10**9, 10**6)
    assert await store.fetch(KEY, 1, DIGEST) == b"recorded"


async def test_who_brings_no_limits_leaves_them_as_they_are(nats: Connection, store: TraceStore) -> None:
    await ensure_streams(nats, traces=TraceLimits(age_hours=1))
    await ensure_streams(nats)
    assert (await config(nats))["max_age"] == 3_600 * 10**9


async def test_what_is_too_old_goes(nats: Connection, store: TraceStore) -> None:
    await store.keep(KEY, 1, DIGEST, b"recorded")
    await ensure_streams(nats, traces=TraceLimits(age_hours=1 / 3600))

    async def gone() -> bool:
        return await store.fetch(KEY, 1, DIGEST) is None

    await eventually(gone)


async def test_the_oldest_makes_room_for_the_newest(nats: Connection, store: TraceStore) -> None:
    await ensure_streams(nats, traces=TraceLimits(bytes_max=100_000))
    for attempt in range(1, 5):
        await store.keep(KEY, attempt, DIGEST, bytes(40_000))
    assert await store.fetch(KEY, 1, DIGEST) is None
    assert await store.fetch(KEY, 4, DIGEST) is not None


async def test_more_than_the_server_has_room_for_is_refused_with_the_remedy(nats: Connection) -> None:
    with pytest.raises(StreamMismatch, match="--trace-bytes-max"):
        await ensure_streams(nats, traces=TraceLimits(bytes_max=2**60))


def test_a_subject_names_episode_attempt_and_actions() -> None:
    assert subjects.trace(KEY, 3, "ab") == "trace.1.0.metaworld.reach-v3.0.3.ab"
