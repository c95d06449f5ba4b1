"""What hostile policies can do to a worker: forfeit their own episodes, and touch nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from consumers.simulation.handler import EpisodeHandler
from consumers.simulation.simulator import Simulator
from consumers.work import Done, RetryAfter
from events.codec import decode
from events.cycles import EpisodeTerms
from events.episodes import (
    EpisodeAbandoned,
    EpisodeAttemptFailed,
    EpisodeCompleted,
    EpisodeForfeited,
    FailureCode,
    ForfeitCode,
)
from events.event import Event
from events.memory import MemoryLog
from events.tasks import EpisodeTask
from sim.stage import SimulationThread
from tests.controls import facts
from tests.controls.tasks import task
from tests.fixtures.policies import served
from tests.sim.http.hostile import GOOD_ACTION, blackhole, http, never_answers, raw_server, says_and_closes
from tests.sim.http.hostile_policies import ENDED_S_MAX, HOSTILE, PATIENT_MS, SHORT_MS, Hostile
from tests.sim.http.memory import memory_growth

GROWTH_MIB_MAX = 50


def waiting(reset_ms: int, act_ms: int) -> EpisodeTerms:
    return facts.TERMS.model_copy(
        update={"reset_deadline_ms": reset_ms, "act_deadline_ms": act_ms, "steps_max": 40, "attempts_max": 3}
    )


PATIENT = waiting(PATIENT_MS, PATIENT_MS)
UNREACHED = waiting(SHORT_MS, PATIENT_MS)
UNANSWERED = waiting(PATIENT_MS, SHORT_MS)
HONEST_P50_MS_MAX = 50.0


@pytest.fixture(scope="module")
def stage() -> Iterator[SimulationThread]:
    stage = SimulationThread()
    yield stage
    asyncio.run(stage.close())


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def handler(log: MemoryLog, stage: SimulationThread) -> EpisodeHandler:
    simulator = Simulator(stage, allow_private_endpoints=True)
    return EpisodeHandler(log, simulator.run, own_network=simulator.own_network, worker="worker-1")


def body(of: EpisodeTask) -> bytes:
    return of.model_dump_json().encode()


async def events_of(log: MemoryLog, uid: int) -> list[Event]:
    events = [decode(stored).event async for batch in log.read() for stored in batch]
    return [event for event in events if getattr(event, "uid", None) == uid]


async def honest_episode(handler: EpisodeHandler, log: MemoryLog) -> EpisodeCompleted:
    async with served() as policy:
        assert await handler.handle(body(task(uid=1, endpoint=policy.url, terms=PATIENT)), delivery=1) == Done()
    [event] = await events_of(log, 1)
    assert isinstance(event, EpisodeCompleted)
    return event


@pytest.fixture(scope="module")
def undisturbed(stage: SimulationThread) -> EpisodeCompleted:
    """The honest policy's episode without hostile ones beside it."""
    simulator, log = Simulator(stage, allow_private_endpoints=True), MemoryLog()
    alone = EpisodeHandler(log, simulator.run, own_network=simulator.own_network, worker="worker-1")
    return asyncio.run(honest_episode(alone, log))


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
async def test_a_hostile_policy_forfeits_and_an_honest_one_beside_it_notices_nothing(
    hostile: Hostile, handler: EpisodeHandler, log: MemoryLog, undisturbed: EpisodeCompleted
) -> None:
    async with hostile.served() as server:
        honest = asyncio.create_task(honest_episode(handler, log))
        with memory_growth() as growth:
            started_s = time.monotonic()
            terms = waiting(hostile.reset_ms, hostile.act_ms)
            answer = await handler.handle(body(task(uid=0, endpoint=server.url, terms=terms)), delivery=1)
            took_s = time.monotonic() - started_s
            beside = await honest
    assert answer == Done()
    [event] = await events_of(log, 0)
    assert isinstance(event, EpisodeForfeited)
    assert (event.code.value, event.steps) == (hostile.code.value, 0)
    assert hostile.detail in event.detail
    assert server.url.partition("//")[2] not in event.detail
    assert "127.0.0.1" not in event.detail
    assert took_s < ENDED_S_MAX
    assert growth.mib < GROWTH_MIB_MAX
    assert beside.evidence == undisturbed.evidence
    assert beside.total_reward == undisturbed.total_reward
    assert beside.latency.p50_ms < HONEST_P50_MS_MAX


async def test_a_name_that_turns_bad_during_the_episode_forfeits_it(
    handler: EpisodeHandler, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = iter(["127.0.0.1", "169.254.169.254"])

    def getaddrinfo(_: str, port: int, *__: object, **___: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(addresses), port))]

    async with raw_server(act=says_and_closes(http(GOOD_ACTION, "200 OK", "Connection: close"))) as server:
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        endpoint = server.url.replace("127.0.0.1", "policy.example")
        assert await handler.handle(body(task(endpoint=endpoint, terms=PATIENT)), delivery=1) == Done()
    [event] = await events_of(log, 0)
    assert isinstance(event, EpisodeForfeited)
    assert (event.code, event.steps) == (ForfeitCode.ADDRESS_REFUSED, 1)
    assert event.detail == "the endpoint is a link-local address"


# Our own network.


@contextlib.asynccontextmanager
async def a_witness(handler: EpisodeHandler, log: MemoryLog) -> AsyncIterator[None]:
    """Another policy, on another host, that this worker has talked to, and that is still there."""
    async with raw_server(host="127.0.0.2") as other:
        await handler.handle(body(task(uid=9, endpoint=other.url, terms=SHORT)), delivery=1)
        yield


SHORT = PATIENT.model_copy(update={"steps_max": 1})


async def test_a_policy_never_reached_is_blamed_in_the_second_attempt(
    handler: EpisodeHandler, log: MemoryLog
) -> None:
    async with a_witness(handler, log):
        with blackhole() as url:
            it = body(task(endpoint=url, terms=UNREACHED))
            assert isinstance(await handler.handle(it, delivery=1), RetryAfter)
            assert await handler.handle(it, delivery=2) == Done()
    first, end = await events_of(log, 0)
    assert isinstance(first, EpisodeAttemptFailed)
    assert first.code is FailureCode.OUR_NETWORK
    assert first.detail == (
        f"no connection within {SHORT_MS} ms; 1 of 1 policies that answered lately can be connected to now:"
        " another attempt decides"
    )
    assert isinstance(end, EpisodeForfeited)
    assert (end.code, end.attempt) == (ForfeitCode.UNREACHABLE, 2)
    assert end.detail.startswith(f"no connection within {SHORT_MS} ms, as in an earlier attempt; 1 of 1 policies")


async def test_a_policy_that_another_worker_reaches_has_lost_nothing(log: MemoryLog, stage: SimulationThread) -> None:
    workers = []
    for name in ("worker-1", "worker-2"):
        simulator = Simulator(stage, allow_private_endpoints=True)
        workers.append(EpisodeHandler(log, simulator.run, own_network=simulator.own_network, worker=name))
    with blackhole("127.0.0.3") as url:
        it = task(endpoint=url, terms=SHORT.model_copy(update={"reset_deadline_ms": 4_000}))
        assert isinstance(await workers[0].handle(body(it), delivery=1), RetryAfter)
    async with raw_server(host="127.0.0.3", port=int(url.rpartition(":")[2])):
        assert await workers[1].handle(body(it), delivery=2) == Done()
    first, end = await events_of(log, 0)
    assert isinstance(first, EpisodeAttemptFailed)
    assert (first.code, first.worker) == (FailureCode.OUR_NETWORK, "worker-1")
    assert isinstance(end, EpisodeCompleted)
    assert (end.attempt, end.worker) == (2, "worker-2")


@pytest.mark.parametrize("with_witness", [False, True], ids=["nobody answered lately", "nobody answers any more"])
async def test_without_a_network_nobody_is_blamed(
    with_witness: bool, handler: EpisodeHandler, log: MemoryLog
) -> None:
    if with_witness:
        async with a_witness(handler, log):
            pass
    with blackhole() as url:
        it = body(task(endpoint=url, terms=UNREACHED))
        for delivery in (1, 2):
            assert isinstance(await handler.handle(it, delivery=delivery), RetryAfter)
        assert await handler.handle(it, delivery=3) == Done()
    *attempts, end = await events_of(log, 0)
    assert [event.code for event in attempts if isinstance(event, EpisodeAttemptFailed)] == [
        FailureCode.OUR_NETWORK
    ] * 3
    assert isinstance(end, EpisodeAbandoned)


async def test_a_policy_is_no_witness_against_itself(handler: EpisodeHandler, log: MemoryLog) -> None:
    async with raw_server(host="127.0.0.3") as alone:
        await handler.handle(body(task(uid=9, endpoint=alone.url, terms=SHORT)), delivery=1)
        with blackhole("127.0.0.3") as url:
            assert isinstance(await handler.handle(body(task(endpoint=url, terms=UNREACHED)), delivery=1), RetryAfter)
    [event] = await events_of(log, 0)
    assert isinstance(event, EpisodeAttemptFailed)
    assert "no other policy answered us lately" in event.detail


async def test_a_policy_that_falls_silent_with_everybody_else_is_tried_again(
    handler: EpisodeHandler, log: MemoryLog
) -> None:
    async with a_witness(handler, log):
        pass

    async def network_dies(_: asyncio.StreamWriter) -> None:
        server.close_listener()

    async with raw_server(act=network_dies) as server:
        answer = await handler.handle(body(task(endpoint=server.url, terms=UNANSWERED)), delivery=1)
    assert isinstance(answer, RetryAfter)
    [event] = await events_of(log, 0)
    assert isinstance(event, EpisodeAttemptFailed)
    assert event.code is FailureCode.OUR_NETWORK


async def test_a_slow_policy_is_blamed_though_all_others_went_down(handler: EpisodeHandler, log: MemoryLog) -> None:
    async with a_witness(handler, log):
        pass
    async with raw_server(act=never_answers) as server:
        assert await handler.handle(body(task(endpoint=server.url, terms=UNANSWERED)), delivery=1) == Done()
    [event] = await events_of(log, 0)
    assert isinstance(event, EpisodeForfeited)
    assert event.code is ForfeitCode.DEADLINE_MISSED
