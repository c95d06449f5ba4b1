"""How a validator hears of new weights: from an API that lets it wait, from backends that do not, or are away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from time import monotonic

import aiohttp
import pytest
from aiohttp import web

from consumers.signing.handler import Signing
from consumers.validator import backend as waiting
from consumers.validator.backend import Backend
from consumers.validator.rounds import POLL_S, Outcome
from consumers.validator.validator import PAUSE_MIN_S
from tests.chain.node import Node
from tests.consumers.validator.conftest import UID, Workplace, publish
from tests.controls.keys import FIRST
from tests.eventually import eventually
from tests.fixtures.http import Api, Written, patient_settings, serving
from tests.fixtures.nats import NatsProcess
from tests.fixtures.ports import free_port
from tests.fixtures.projecting import running as projecting

LONG_S = 600.0
"""Longer than any of these tests."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Enough(Exception):
    """The test has seen what it wants to see."""


class Stub:
    """A backend of which only `GET /v1/weights/latest` is asked. `answer` says what it does."""

    def __init__(self, answer: Handler) -> None:
        self.answer = answer
        self.url = ""
        self.asked: list[float] = []
        """When, on the monotonic clock."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(monotonic())
        return await self.answer(request)


@asynccontextmanager
async def stubbed(answer: Handler) -> AsyncIterator[Stub]:
    stub = Stub(answer)
    app = web.Application()
    app.router.add_get(waiting.LATEST, stub.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.0)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    stub.url = f"http://127.0.0.1:{port}"
    try:
        yield stub
    finally:
        await runner.cleanup()


async def without_waiting(request: web.Request) -> web.StreamResponse:
    """As a backend answers that knows `If-None-Match`, and no `wait`."""
    if request.headers.get("If-None-Match") == '"1"':
        return web.Response(status=304, headers={"ETag": '"1"'})
    return web.Response(body=b"first", headers={"ETag": '"1"'})


async def cut(request: web.Request) -> web.StreamResponse:
    """Ends in the middle of an answer: a client may repeat by itself what nothing at all was answered to."""
    answer = web.StreamResponse(headers={"Content-Length": "100"})
    await answer.prepare(request)
    await answer.write(b"half")
    assert request.transport is not None
    request.transport.abort()
    return answer


async def never(_seconds: float) -> None:
    """A pause that only news can end."""
    await asyncio.Event().wait()


async def test_it_hears_of_new_weights_without_a_pause(workplace: Workplace, node: Node, read_side: Written) -> None:
    async with projecting(read_side.log, read_side.url), workplace.validator(sleep=never) as validator:
        following = asyncio.create_task(validator.follow())
        await eventually(lambda: bool(node.chain.world.weights))
        await publish(read_side.log, 2, winners=(1,))
        await eventually(lambda: node.chain.world.weights[UID] == ((0, 1_201), (1, 65_535)))
        following.cancel()
        await asyncio.wait({following})


async def test_weights_whose_signature_comes_later_are_not_refused(
    workplace: Workplace, api: Api, read_side: Written
) -> None:
    async with projecting(read_side.log, read_side.url), workplace.validator() as validator:
        assert (await validator.round()).outcome is Outcome.SUBMITTED
        await publish(read_side.log, 2, winners=(1,), signed=False)
        await eventually(lambda: _serves(api, 2))
        second, signing = await asyncio.gather(validator.round(), Signing(read_side.log, FIRST).catch_up())
    assert (second.outcome, signing) == (Outcome.SUBMITTED, None)


async def _serves(api: Api, cycle: int) -> bool:
    return bool((await api.get(waiting.LATEST)).json["cycle_id"] == cycle)


async def test_a_restart_of_the_backend_does_not_end_its_waiting(
    session: aiohttp.ClientSession, read_side: Written, nats_server: NatsProcess, database_url: str
) -> None:
    settings, port = patient_settings(database_url, nats_server.url), free_port()
    await publish(read_side.log)
    await read_side.project()
    async with serving(settings, port=port) as api:
        backend = Backend(session, api.base_url)
        await backend.latest()
        newer = asyncio.create_task(backend.newer(LONG_S))
        await asyncio.sleep(0)
        began = monotonic()
        await eventually(lambda: monotonic() - began > waiting.ANSWER_S)
    await publish(read_side.log, 2, winners=(1,))
    await read_side.project()
    assert not newer.done()
    async with serving(settings, port=port):
        assert await asyncio.wait_for(newer, timeout=60)


async def test_it_hears_of_weights_after_a_wait_that_was_cut(session: aiohttp.ClientSession) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if len(stub.asked) == 2:
            return await cut(request)
        number = 1 if len(stub.asked) == 1 else 2
        return web.Response(body=b"weights", headers={"ETag": f'"{number}"'})

    async with stubbed(answer) as stub:
        backend = Backend(session, stub.url)
        await backend.latest()
        assert await backend.newer(LONG_S)
    assert len(stub.asked) == 3


async def test_waits_that_are_cut_again_and_again_are_begun_with_growing_pauses(
    session: aiohttp.ClientSession,
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if len(stub.asked) > 1:
            return await cut(request)
        return web.Response(body=b"weights", headers={"ETag": '"1"'})

    async with stubbed(answer) as stub:
        backend = Backend(session, stub.url)
        await backend.latest()
        assert not await backend.newer(5.0)
    _, *waits = stub.asked
    pauses = [after - before for before, after in pairwise(waits)]
    least = [waiting.AGAIN_S * 2**number / 2 for number in range(len(pauses))]
    assert all(pause >= at_least - 0.01 for pause, at_least in zip(pauses, least, strict=True)), pauses


async def test_a_backend_that_does_not_know_how_to_wait_is_asked_at_intervals(
    session: aiohttp.ClientSession,
) -> None:
    async with stubbed(without_waiting) as stub:
        backend = Backend(session, stub.url)
        await backend.latest()
        assert not await backend.newer(LONG_S)
        assert len(stub.asked) == 2


async def test_a_backend_that_always_says_something_else_is_asked_no_oftener_than_once_a_second(
    workplace: Workplace, published: Api
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        if len(stub.asked) >= 7:
            enough.set()
        return web.Response(body=true.body, headers={"ETag": f'"{len(stub.asked)}"'})

    enough = asyncio.Event()
    true = await published.get(waiting.LATEST)
    async with workplace.validator() as validator:
        await validator.round()
    async with stubbed(answer) as stub, workplace.validator(urls=[stub.url], sleep=never) as validator:
        following = asyncio.create_task(validator.follow())
        await enough.wait()
        following.cancel()
        await asyncio.wait({following})
    rounds = stub.asked[::2]
    assert all(after - before >= PAUSE_MIN_S - 0.01 for before, after in pairwise(rounds))


async def test_retry_after_is_obeyed_while_it_waits(session: aiohttp.ClientSession) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        if len(stub.asked) == 2:
            return web.Response(status=429, headers={"Retry-After": "2"})
        return web.Response(body=b"weights", headers={"ETag": f'"{len(stub.asked)}"'})

    async with stubbed(answer) as stub:
        backend = Backend(session, stub.url)
        await backend.latest()
        assert await backend.newer(LONG_S)
    assert stub.asked[2] - stub.asked[1] >= 2.0 - 0.01


async def test_retry_after_is_obeyed_by_the_rounds(workplace: Workplace) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "500"})

    async def sleep(seconds: float) -> None:
        assert seconds > 1.2 * POLL_S
        if len(paused) == 3:
            raise Enough
        paused.append(seconds)

    paused: list[float] = []
    async with stubbed(answer) as stub, workplace.validator(urls=[stub.url], sleep=sleep) as validator:
        with pytest.raises(Enough):
            await validator.follow()
    assert len(stub.asked) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 0), ("7", 7), ("99999999999", 600), ("soon", 0), ("-1", 0), ("Sat, 21 Nov 2026 11:30:00 GMT", 0)],
)
async def test_retry_after_is_a_bounded_number_of_seconds(
    session: aiohttp.ClientSession, header: str | None, seconds: int
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=503, headers={"Retry-After": header} if header else {})

    async with stubbed(answer) as stub:
        backend = Backend(session, stub.url)
        with pytest.raises(waiting.BackendAway, match="answered 503"):
            await backend.latest()
        assert backend.closed_s <= seconds
        assert (backend.closed_s > 0) is (seconds > 0)


async def test_a_wait_can_be_ended_at_any_time(session: aiohttp.ClientSession) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        if len(stub.asked) > 1:
            held.set()
            await over.wait()
        return web.Response(body=b"weights", headers={"ETag": '"1"'})

    held, over = asyncio.Event(), asyncio.Event()
    async with stubbed(answer) as stub:
        backend = Backend(session, stub.url)
        await backend.latest()
        newer = asyncio.create_task(backend.newer(LONG_S))
        await held.wait()
        newer.cancel()
        await asyncio.wait({newer})
        over.set()
    assert newer.cancelled()
