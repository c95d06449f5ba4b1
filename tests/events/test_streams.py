from __future__ import annotations

import asyncio
from typing import Any

import pytest

from events.connection import Connection, connect
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.log import StreamMismatch
from events.stream_settings import EVENTS, TASKS, WORKERS, events_settings
from events.streams import differences, ensure_streams
from tests.contracts.task_queue import tasks
from tests.fixtures.nats import NatsProcess, delete_streams


async def effective(connection: Connection, stream: str = EVENTS) -> dict[str, Any]:
    config: dict[str, Any] = (await connection.api(f"STREAM.INFO.{stream}"))["config"]
    return config


async def test_what_was_created_passes_the_check(nats: Connection) -> None:
    identity = await JetStreamLog(nats).identity()
    await ensure_streams(nats)
    assert await JetStreamLog(nats).identity() == identity


async def test_a_new_log_has_a_new_identity(nats: Connection) -> None:
    before = await JetStreamLog(nats).identity()
    await delete_streams(nats)
    await ensure_streams(nats)
    assert await JetStreamLog(nats).identity() != before


async def test_many_processes_can_create_the_streams_at_once(nats_server: NatsProcess, nats: Connection) -> None:
    await delete_streams(nats)
    connections = [await connect(nats_server.url, f"process {number}") for number in range(5)]
    await asyncio.gather(*map(ensure_streams, connections))
    assert len({await JetStreamLog(connection).identity() for connection in connections}) == 1
    for connection in connections:
        await connection.close()


async def test_the_log_is_protected_and_unlimited(nats: Connection) -> None:
    config = await effective(nats)
    assert config["storage"] == "file"
    assert (config["deny_delete"], config["deny_purge"]) == (True, True)
    assert (config["max_age"], config["max_msgs"], config["max_bytes"]) == (0, -1, -1)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("max_age", 3_600_000_000_000, r"max_age: expected 0, the stream has 3600000000000; .*stream edit"),
        ("max_msgs", 1_000, r"max_msgs: expected -1, the stream has 1000; .*stream edit"),
        ("allow_atomic", False, r"allow_atomic: expected true, the stream has (false|null); .*stream edit"),
        ("subjects", ["evt.>", "other.>"], r'subjects: expected \["evt.>"\], the stream has \["evt.>", "other.>"\]'),
    ],
)
async def test_another_setting_of_the_log_is_named(nats: Connection, key: str, value: object, expected: str) -> None:
    await nats.api(f"STREAM.UPDATE.{EVENTS}", {**await effective(nats), key: value})
    with pytest.raises(StreamMismatch, match=expected):
        await ensure_streams(nats)


async def test_a_log_of_somebody_else_is_refused(nats_alone: NatsProcess) -> None:
    """On a server of its own: one that has just removed a stream in memory may fail to make it again on disk."""
    settings = {"name": EVENTS, "subjects": ["evt.>"], "storage": "memory"}
    async with await connect(nats_alone.url, "tests") as nats:
        await nats.api(f"STREAM.CREATE.{EVENTS}", settings)
        with pytest.raises(StreamMismatch) as caught:
            await ensure_streams(nats)
    lines = str(caught.value).splitlines()
    for key in ("storage", "deny_delete", "deny_purge", "metadata"):
        assert any(line.startswith(f"{key}: expected ") for line in lines)


async def test_other_replicas_are_named_with_both_remedies(nats: Connection) -> None:
    with pytest.raises(StreamMismatch, match=r"expected 3, the stream has 1; start with 1 .*--replicas 3"):
        await ensure_streams(nats, replicas=3)


async def test_subjects_that_another_stream_has_are_a_mismatch(nats: Connection) -> None:
    await delete_streams(nats)
    await nats.api("STREAM.CREATE.SQUATTER", {"name": "SQUATTER", "subjects": ["evt.cycle.>"]})
    try:
        with pytest.raises(StreamMismatch, match="overlap"):
            await ensure_streams(nats)
    finally:
        await nats.api("STREAM.DELETE.SQUATTER")


def test_settings_that_only_the_server_knows_are_no_difference() -> None:
    actual = {**events_settings(1), "new_in_some_later_version": True, "compression": "none"}
    assert differences(events_settings(1), actual) == []


async def test_the_workers_durable_follows_the_settings(nats: Connection) -> None:
    await ensure_streams(nats, ack_wait_s=2.5)
    config = (await nats.api(f"CONSUMER.INFO.{TASKS}.{WORKERS}"))["config"]
    assert config["ack_wait"] == 2_500_000_000
    assert config["max_deliver"] == -1


async def test_a_task_is_delivered_again_until_it_is_acknowledged(
    nats: Connection, task_queue: JetStreamQueue
) -> None:
    await ensure_streams(nats, ack_wait_s=0.3)
    await task_queue.put(tasks(1))
    worker = await nats.client.jetstream().pull_subscribe_bind(WORKERS, TASKS)
    (first,) = await worker.fetch(1, timeout=60)
    assert first.metadata.num_delivered == 1
    assert await task_queue.put(tasks(1)) == 0, "a task that a worker holds is still queued"
    (second,) = await worker.fetch(1, timeout=60)
    assert (second.data, second.metadata.num_delivered) == (first.data, 2)
    await second.ack_sync()
    assert await task_queue.pending() == 0
    assert await task_queue.put(tasks(1)) == 1, "what is done can be queued again"
