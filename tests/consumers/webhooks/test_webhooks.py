"""Webhooks to a real receiver that checks them with the reference implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from consumers.webhooks.delivery import Endpoint, Result
from consumers.webhooks.handler import TOLD, Persistence, durable, run_webhooks
from consumers.webhooks.signature import headers, spelled
from events.codec import draft
from events.envelope import begin
from events.event import Event
from events.log import Draft
from events.stream_settings import EVENTS
from tests.consumers.conftest import Bus
from tests.controls import facts
from tests.eventually import eventually
from tests.fixtures.ports import free_port

SECRET = bytes(range(32))
IMPATIENT = Persistence(first_s=0.05, longest_s=0.2)


@dataclass
class Receiver:
    """Verifies what it gets, and answers with the next of `answers`, then with the last one for ever."""

    answers: list[int] = field(default_factory=lambda: [200])
    got: list[tuple[str, str]] = field(default_factory=list)
    """Id and type of each that was verified, refused ones included."""
    hold: asyncio.Event | None = None
    """Answers are held back until it is set."""
    location: str = ""
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=secret"

    @property
    def ids(self) -> list[str]:
        return [identity for identity, _ in self.got]

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        event = Webhook(spelled(SECRET)).verify(body, dict(request.headers))
        self.got.append((request.headers["webhook-id"], event["type"]))
        if self.hold is not None:
            await self.hold.wait()
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, headers={"Location": self.location} if self.location else None)


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[Receiver]:
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", receiver.port).start()
    try:
        yield receiver
    finally:
        if receiver.hold is not None:
            receiver.hold.set()
        await runner.cleanup()


@asynccontextmanager
async def telling(
    bus: Bus,
    *receivers: Receiver,
    persistence: Persistence = IMPATIENT,
    timeout_s: float = 10.0,
    results: list[Result] | None = None,
) -> AsyncIterator[None]:
    stop = asyncio.Event()
    urls = [receiver.url for receiver in receivers]

    def told(_: str, result: Result) -> None:
        if results is not None:
            results.append(result)

    running = asyncio.create_task(
        run_webhooks(bus.url, urls, SECRET, stop, persistence=persistence, timeout_s=timeout_s, told=told)
    )
    try:
        yield
    finally:
        stop.set()
        await running


async def append(bus: Bus, *events: Event) -> list[str]:
    """Ids of the events."""
    envelopes = [begin(event, source="/test") for event in events]
    for envelope in envelopes:
        await bus.log.append([draft(envelope)])
    return [envelope.id for envelope in envelopes]


def has(receiver: Receiver, identities: Sequence[str]) -> Callable[[], bool]:
    return lambda: set(identities) <= set(receiver.ids)


def settled(bus: Bus, receiver: Receiver) -> Callable[[], Awaitable[bool]]:
    """Whether nothing is on its way, or waits to be tried again."""

    async def look() -> bool:
        info = await bus.connection.api(f"CONSUMER.INFO.{EVENTS}.{durable(receiver.url)}")
        return int(info["num_pending"]) == 0 and int(info["num_ack_pending"]) == 0

    return look


async def test_what_the_reference_implementation_verifies_is_what_happened(bus: Bus) -> None:
    async with receiving(Receiver()) as receiver, telling(bus, receiver):
        told = await append(
            bus, facts.sealed(), facts.weights_computed(), facts.cycle_abandoned(2), facts.degraded(1)
        )
        await append(bus, facts.completed())
        await eventually(has(receiver, told))
        await eventually(settled(bus, receiver))
    assert sorted(receiver.ids) == sorted(told)
    assert {kind for _, kind in receiver.got} <= TOLD


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "secret"])
def test_a_signature_holds_for_one_message_only(change: str) -> None:
    body, now_s = b'{"type":"x"}', int(datetime.now(UTC).timestamp())
    signed = headers(SECRET, "id-1", now_s, body)
    assert Webhook(spelled(SECRET)).verify(body, signed) == {"type": "x"}
    secret = SECRET if change != "secret" else bytes(32)
    other = {"body": b'{"type":"y"}'}.get(change, body)
    signed |= {"id": {"webhook-id": "id-2"}, "timestamp": {"webhook-timestamp": str(now_s + 1)}}.get(change, {})
    with pytest.raises(WebhookVerificationError):
        Webhook(spelled(secret)).verify(other, signed)


async def test_a_refused_one_comes_again_with_the_same_id(bus: Bus) -> None:
    async with receiving(Receiver([500, 503, 200])) as receiver, telling(bus, receiver):
        [told] = await append(bus, facts.sealed())
        await eventually(lambda: len(receiver.ids) == 3)
        await eventually(settled(bus, receiver))
    assert receiver.ids == [told] * 3


async def test_a_redirect_is_not_followed(bus: Bus) -> None:
    redirecting = Receiver([307, 200], location=(elsewhere := Receiver()).url)
    async with receiving(elsewhere) as other, receiving(redirecting) as receiver, telling(bus, receiver):
        await append(bus, facts.sealed())
        await eventually(lambda: len(receiver.ids) == 2)
    assert other.got == []


async def test_one_that_hangs_is_left_and_tried_again(bus: Bus) -> None:
    results: list[Result] = []
    hold = asyncio.Event()
    receiver = Receiver(hold=hold)
    async with receiving(receiver), telling(bus, receiver, timeout_s=0.5, results=results):
        [told] = await append(bus, facts.sealed())
        await eventually(lambda: Result.FAILED in results)
        hold.set()
        await eventually(lambda: Result.DELIVERED in results)
    assert set(receiver.ids) == {told}


async def test_a_dead_endpoint_holds_up_no_other(bus: Bus) -> None:
    dead = Receiver()  # nobody listens there
    async with receiving(Receiver()) as receiver, telling(bus, dead, receiver):
        told = await append(bus, *(facts.sealed(cycle) for cycle in range(1, 8)))
        await eventually(has(receiver, told))


async def test_an_event_that_is_refused_holds_up_no_other(bus: Bus) -> None:
    stubborn = Persistence(first_s=3600.0)
    async with receiving(Receiver([500, 200])) as receiver, telling(bus, receiver, persistence=stubborn):
        [refused] = await append(bus, facts.sealed(1))
        await eventually(lambda: receiver.ids == [refused])
        told = await append(bus, facts.sealed(2), facts.sealed(3))
        await eventually(has(receiver, told))
    assert receiver.ids.count(refused) == 1


async def test_what_is_no_event_is_left_out(bus: Bus) -> None:
    async with receiving(Receiver()) as receiver, telling(bus, receiver):
        await bus.log.append([Draft("evt.weights.1", "spoilt", b"no event")])
        [told] = await append(bus, facts.sealed())
        await eventually(has(receiver, [told]))
        await eventually(settled(bus, receiver))
    assert receiver.ids == [told]


async def test_after_410_nothing_more_is_sent(bus: Bus) -> None:
    gone, there = Receiver([410]), Receiver()
    async with receiving(gone) as receiver, receiving(there) as other, telling(bus, receiver, other):
        await append(bus, facts.sealed(1))
        await eventually(lambda: len(receiver.ids) == 1 and len(other.ids) == 1)
        later = await append(bus, facts.sealed(2), facts.sealed(3))
        await eventually(has(other, later))
    assert len(receiver.ids) == 1


async def test_what_is_older_than_the_bound_is_given_up(bus: Bus) -> None:
    at_once = Persistence(first_s=0.05, within=timedelta(microseconds=1))
    async with receiving(Receiver([500])) as receiver, telling(bus, receiver, persistence=at_once):
        await eventually(lambda: _exists(bus, receiver))
        [told] = await append(bus, facts.sealed())
        await eventually(has(receiver, [told]))
        await eventually(settled(bus, receiver))
    assert receiver.ids == [told]


async def _exists(bus: Bus, receiver: Receiver) -> bool:
    names = (await bus.connection.api(f"CONSUMER.NAMES.{EVENTS}"))["consumers"] or []
    return durable(receiver.url) in names


async def test_nothing_is_lost_over_restarts_of_ours_of_the_server_and_of_the_receiver(bus: Bus) -> None:
    receiver, told = Receiver(), []
    for cycle in range(1, 4):
        async with telling(bus, receiver):
            told += await append(bus, facts.sealed(3 * cycle))
            async with receiving(receiver):
                await eventually(has(receiver, told))  # so it is connected: a start needs a server
                told += await append(bus, facts.sealed(3 * cycle + 1))
                bus.server.kill()
                bus.server.start()
                await eventually(has(receiver, told))
        told += await append(bus, facts.sealed(3 * cycle + 2))
    async with telling(bus, receiver), receiving(receiver):
        await eventually(has(receiver, told))
        await eventually(settled(bus, receiver))
    assert set(receiver.ids) == set(told)


async def test_a_lost_durable_costs_repeats_and_no_event(bus: Bus) -> None:
    receiver = Receiver()
    async with receiving(receiver):
        async with telling(bus, receiver):
            first = await append(bus, facts.sealed(1))
            await eventually(has(receiver, first))
        await bus.lose_consumer(EVENTS, durable(receiver.url))
        second = await append(bus, facts.sealed(2))
        async with telling(bus, receiver):
            await eventually(has(receiver, second))
    assert set(receiver.ids) == {*first, *second}


async def test_an_endless_answer_is_not_read() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(bytes(65_536))

    port = free_port()
    app = web.Application()
    app.router.add_post("/", endless)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with Endpoint(f"http://127.0.0.1:{port}/", SECRET, timeout_s=60.0) as endpoint:
            attempt = await asyncio.wait_for(endpoint.deliver("id", b"{}"), 30)
    finally:
        await runner.cleanup()
    assert attempt.result is Result.DELIVERED


def test_what_is_said_of_an_endpoint_holds_no_secret() -> None:
    async def place() -> str:
        async with Endpoint("https://user:password@example.org/path?token=1", SECRET) as endpoint:
            return endpoint.place

    assert asyncio.run(place()) == "https://example.org:443"
