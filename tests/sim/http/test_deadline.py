from __future__ import annotations

import asyncio
import time

import pytest

from sim.http.deadline import Deadline, DeadlinePassed


async def test_a_body_in_time_is_left_alone() -> None:
    async with Deadline(10):
        await asyncio.sleep(0)


async def test_a_late_body_is_cancelled() -> None:
    with pytest.raises(DeadlinePassed):
        async with Deadline(0.01):
            await asyncio.Event().wait()


async def test_an_answer_that_arrived_while_the_loop_was_busy_is_in_time() -> None:
    """The worker, not the policy, is late here: `asyncio.timeout` would have thrown the answer away."""
    (reader, its_writer), (_reader, writer) = await connected_pair()
    async with Deadline(0.02):
        writer.write(b"answer\n")
        time.sleep(0.1)  # noqa: ASYNC251 the busy worker
        assert await reader.readline() == b"answer\n"
    writer.close()
    its_writer.close()


async def test_a_cancellation_from_outside_stays_one() -> None:
    entered = asyncio.Event()

    async def body() -> None:
        async with Deadline(10):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_body_passes_through() -> None:
    with pytest.raises(KeyError):
        async with Deadline(10):
            raise KeyError


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected_pair() -> tuple[Streams, Streams]:
    accepted: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda *streams: accepted.set_result(streams), "127.0.0.1", 0)
    client = await asyncio.open_connection(*server.sockets[0].getsockname())
    server.close()
    return client, await accepted
