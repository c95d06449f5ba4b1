"""What each role may do on a server with the shipped accounts, and what it may not. Written out, not derived."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator

import pytest

from api.replays import ensure_requests
from events import frames
from events.connection import Connection, Forbidden, NoAnswer, Refused, connect
from events.jetstream import UNAPPENDED, JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.log import AccessDenied, Draft
from events.permissions import OPERATOR, ROLES, Rights
from events.queue import QueueUnavailable
from events.stream_settings import TRACES_KEPT
from events.streams import create_traces, ensure_streams
from tests.controls.tasks import task
from tests.eventually import eventually
from tests.fixtures.guarded import GuardedNats, guarded

EPISODE = "7.metaworld.reach-v3.0"
STORED = {
    "miner": "evt.miner.somebody.1",
    "plan": "evt.cycle.1.plan",
    "metagraph": "evt.cycle.1.metagraph",
    "seed": "evt.cycle.1.seed",
    "outcome": f"evt.cycle.1.episode.{EPISODE}",
    "attempt": f"evt.cycle.1.attempt.{EPISODE}.1",
    "verification": "evt.cycle.1.verification.7",
    "slots": "evt.cycle.1.slots",
    "seal": "evt.cycle.1.seal",
    "weights": "evt.weights.1",
    "signed root": "evt.signed.root.1",
    "signed weights": "evt.signed.weights.1",
    "anchor": "evt.anchor.1",
    "identity": "evt.identity.1",
    "rules": "evt.rules.1",
    "shadow": "evt.shadow.1.2",
    "copies": "evt.copies.1",
    "discovery": "evt.discovery.1",
    "episode task": f"task.episode.1.{EPISODE}",
    "check task": "task.check.1.7",
    "trace": f"trace.1.{EPISODE}.1.digest",
    "request": "request.somebody.1",
    "dead episode": f"dead.task.episode.1.{EPISODE}",
    "dead check": "dead.task.check.1.7",
}
EVENTS_AND_TASKS = set(STORED) - {"trace", "request", "dead episode", "dead check"}
MAY_STORE = {
    "scheduler": EVENTS_AND_TASKS,
    "worker": {"outcome", "attempt", "trace", "dead episode"},
    "verifier": {"verification", "dead check"},
    "projector": set(),
    "api": {"request"},
}
STREAMS = ("KINITRO_EVENTS", "KINITRO_TASKS", "KINITRO_TRACES", "KINITRO_REQUESTS", "KINITRO_DEAD_LETTERS")
DESTRUCTIVE = (
    "STREAM.DELETE.{}",
    "STREAM.UPDATE.{}",
    "STREAM.PURGE.{}",
    "STREAM.MSG.DELETE.{}",
    "STREAM.SNAPSHOT.{}",
    "STREAM.RESTORE.{}",
    "STREAM.CREATE.{}",
    "DIRECT.GET.{}",
)
MAY_CALL = {("scheduler", "STREAM.PURGE.KINITRO_TASKS"), *(("scheduler", f"STREAM.CREATE.{it}") for it in STREAMS)}
DURABLES = {"workers": "worker", "verifiers": "verifier"}
MAKES_CONSUMERS = {"scheduler", "verifier", "projector", "api"}


@pytest.fixture(scope="module")
def server() -> Iterator[GuardedNats]:
    with guarded() as running:
        yield running


@pytest.fixture
async def operator(server: GuardedNats) -> AsyncIterator[Connection]:
    async with await connect(server.url(OPERATOR), "operator") as connection:
        await ensure_streams(connection)
        await create_traces(connection, 1)
        await ensure_requests(connection)
        yield connection


def test_every_role_is_in_the_tables() -> None:
    assert set(MAY_STORE) == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_stores_what_is_its_own_and_nothing_else(
    server: GuardedNats, operator: Connection, role: str
) -> None:
    async with await connect(server.url(role), role) as connection:
        stored = {name for name, subject in STORED.items() if await _may(connection, subject)}
    assert stored == MAY_STORE[role]


@pytest.mark.parametrize("role", ROLES)
async def test_nobody_but_the_operator_can_change_a_stream(
    server: GuardedNats, operator: Connection, role: str
) -> None:
    calls = [call.format(stream) for call in DESTRUCTIVE for stream in STREAMS]
    async with await connect(server.url(role), role) as connection:
        called = {(role, call) for call in calls if await _may(connection, f"$JS.API.{call}", body=b"not json")}
    assert called == {it for it in MAY_CALL if it[0] == role}


@pytest.mark.parametrize("role", ROLES)
async def test_tasks_are_taken_and_acknowledged_by_those_whose_they_are(
    server: GuardedNats, operator: Connection, role: str
) -> None:
    async with await connect(server.url(role), role) as connection:
        for durable, owner in DURABLES.items():
            pull = f"$JS.API.CONSUMER.MSG.NEXT.KINITRO_TASKS.{durable}"
            assert await _may(connection, pull, body=b'{"no_wait":true}') == (role == owner)
            ack = f"$JS.ACK.KINITRO_TASKS.{durable}.1.1.1.1.0"
            assert await _may(connection, ack) == (role == owner)


@pytest.mark.parametrize("role", ROLES)
async def test_durables_of_the_queue_are_made_by_the_scheduler(
    server: GuardedNats, operator: Connection, role: str
) -> None:
    async with await connect(server.url(role), role) as connection:
        made = await _may(connection, "$JS.API.CONSUMER.CREATE.KINITRO_TASKS.mine.task.episode.>")
        deleted = await _may(connection, "$JS.API.CONSUMER.DELETE.KINITRO_TASKS.workers")
        reads = await _may(connection, "$JS.API.CONSUMER.CREATE.KINITRO_EVENTS.mine")
    assert (made, deleted, reads) == (role == "scheduler", False, role in MAKES_CONSUMERS)


@pytest.mark.parametrize("role", ROLES)
async def test_nobody_can_have_an_answer_taken_for_an_event(
    server: GuardedNats, operator: Connection, role: str
) -> None:
    """The server does not check where an answer is to go: the border between accounts does."""
    number = 100 + list(ROLES).index(role)
    targets = {
        f"evt.weights.{number}": "weights",
        f"evt.cycle.{number}.plan": "plan",
        f"task.check.{number}.7": "check task",
        f"request.somebody.{number}": "request",
    }
    async with await connect(server.url(role), role) as connection:
        await _ask_for_answers_to(connection, ROLES[role], targets)
    own = {it for it, name in targets.items() if name in MAY_STORE[role]}
    assert await _stored(operator) & set(targets) <= own


async def test_without_that_border_an_answer_is_taken_for_an_event(server: GuardedNats, operator: Connection) -> None:
    """What the test above looks for does happen, within one account."""

    async def is_stored() -> bool:
        return "evt.weights.78" in await _stored(operator)

    await _ask_for_answers_to(operator, ROLES["worker"], ["evt.weights.78"])
    await eventually(is_stored, 30)


async def _ask_for_answers_to(connection: Connection, rights: Rights, targets: Iterable[str]) -> None:
    for subject in (*rights.sends, *rights.pulls):
        for target in targets:
            concrete = subject.replace("*", "77").replace(">", "77.1.2.3.4")
            await connection.send(frames.request(concrete, target, b'{"seq":1,"batch":1}'))
    await connection.client.flush()


async def _stored(operator: Connection) -> set[str]:
    names = (await operator.api("STREAM.NAMES"))["streams"]
    streams = [await operator.api(f"STREAM.INFO.{it}", {"subjects_filter": ">"}) for it in names]
    return {subject for info in streams for subject in info["state"].get("subjects") or {}}


@pytest.mark.parametrize("role", ROLES)
async def test_nobody_hears_what_others_say_or_are_told(server: GuardedNats, operator: Connection, role: str) -> None:
    heard: list[bytes] = []
    async with await connect(server.url(role), role) as connection:
        await connection.client.subscribe_directly("_INBOX.>", lambda subject, *_: heard.append(subject))
        for subject in ("evt.>", "task.>", "trace.>", "$JS.>", ">"):
            await connection.client.subscribe_directly(subject, lambda subject, *_: heard.append(subject))
        await connection.client.flush()
        for other in (OPERATOR, *(it for it in ROLES if it != role)):
            async with await connect(server.url(other), other) as talking:
                await talking.api("STREAM.INFO.KINITRO_EVENTS")
        await connection.client.flush()
    assert heard == []


async def test_live_progress_goes_from_workers_to_the_api_and_wishes_back(
    server: GuardedNats, operator: Connection
) -> None:
    async with (
        await connect(server.url("worker"), "worker") as worker,
        await connect(server.url("api"), "api") as api,
    ):
        steps, wishes = asyncio.Event(), asyncio.Event()
        await api.client.subscribe_directly("live.episode.1.7.>", lambda *_: steps.set())
        await worker.client.subscribe_directly("live.wanted.>", lambda *_: wishes.set())
        await api.client.flush()
        await worker.client.flush()
        await worker.send(frames.publish("live.episode.1.7.metaworld.reach-v3.0", b"step"))
        await api.send(frames.publish("live.wanted.1.7.metaworld.reach-v3.0", b""))
        async with asyncio.timeout(30):
            await steps.wait()
            await wishes.wait()


@pytest.mark.parametrize("role", ["scheduler", "worker", "verifier"])
async def test_whoever_appends_can_tell_the_api_that_nothing_can_be_appended(
    server: GuardedNats, operator: Connection, role: str
) -> None:
    async with (
        await connect(server.url(role), role) as appending,
        await connect(server.url("api"), "api") as api,
    ):
        heard = asyncio.Event()
        await api.client.subscribe_directly(UNAPPENDED, lambda *_: heard.set())
        await api.client.flush()

        async def told() -> bool:
            """Again and again, as it is meant: the first may come before the server knows of the other account."""
            await appending.send(frames.publish(UNAPPENDED, b""))
            return heard.is_set()

        await eventually(told)


async def test_an_event_of_another_role_is_refused_by_name(server: GuardedNats, operator: Connection) -> None:
    async with await connect(server.url("worker"), "worker") as connection:
        with pytest.raises(AccessDenied, match=r"user 'worker' may not send to evt\.weights\.Nine"):
            await JetStreamLog(connection).append([Draft("evt.weights.Nine", "id", b"{}")])


async def test_tasks_of_a_worker_are_refused_by_name(server: GuardedNats, operator: Connection) -> None:
    async with await connect(server.url("worker"), "worker") as connection:
        with pytest.raises(QueueUnavailable, match=r"user 'worker' may not send to task\.episode"):
            await JetStreamQueue(connection).put([task()])


async def test_who_may_create_nothing_finds_all_there(server: GuardedNats, operator: Connection) -> None:
    for role in ROLES:
        async with await connect(server.url(role), role) as connection:
            limits = TRACES_KEPT if role == "worker" else None
            await ensure_streams(connection, traces=limits)


@pytest.mark.parametrize("role", sorted(set(ROLES) - {"scheduler"}))
async def test_what_is_missing_is_said_with_who_creates_it(
    server: GuardedNats, operator: Connection, role: str
) -> None:
    for stream in STREAMS:
        with contextlib.suppress(Refused):
            await operator.api(f"STREAM.DELETE.{stream}")
    async with await connect(server.url(role), role) as connection:
        with pytest.raises(AccessDenied, match=r"STREAM\.CREATE\.KINITRO_EVENTS.*kinitro scheduler.*operator"):
            await ensure_streams(connection)


async def _may(connection: Connection, subject: str, *, body: bytes = b"{}") -> bool:
    """Whether the server lets it pass, whatever is answered then."""
    try:
        await connection.ask(lambda reply: frames.request(subject, reply, body), timeout_s=1)
    except Forbidden:
        return False
    except (Refused, NoAnswer, json.JSONDecodeError):
        return True
    return True
