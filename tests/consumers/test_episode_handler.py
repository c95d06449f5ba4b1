"""The life of one episode's task: real physics, real HTTP, and a log."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import orjson
import pytest
from aiohttp import web

from consumers.simulation import handler
from consumers.simulation.handler import EpisodeHandler
from consumers.simulation.network import OwnNetwork
from consumers.simulation.simulator import Simulator
from consumers.work import Done, Drop, LetGo, RetryAfter
from events import subjects
from events.codec import decode, draft
from events.envelope import begin
from events.episodes import (
    EpisodeAbandoned,
    EpisodeAttemptFailed,
    EpisodeCompleted,
    EpisodeForfeited,
    FailureCode,
    ForfeitCode,
)
from events.event import Event
from events.log import Draft
from events.memory import MemoryLog
from events.tasks import EpisodeTask
from sim.stage import SimulationThread
from tests.controls import facts
from tests.controls.tasks import task
from tests.fixtures.policies import Act, lazy, served

TERMS = facts.TERMS.model_copy(update={"act_deadline_ms": 30_000, "reset_deadline_ms": 30_000, "attempts_max": 2})


@pytest.fixture
async def stage() -> AsyncIterator[SimulationThread]:
    async with SimulationThread() as stage:
        yield stage


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def worker(log: MemoryLog, stage: SimulationThread, name: str = "worker-1") -> EpisodeHandler:
    return handler_of(log, Simulator(stage, allow_private_endpoints=True), name)


def handler_of(log: MemoryLog, simulator: Simulator, name: str = "worker-1") -> EpisodeHandler:
    return EpisodeHandler(log, simulator.run, own_network=simulator.own_network, worker=name)


def body(of: EpisodeTask) -> bytes:
    return of.model_dump_json().encode()


async def facts_in(log: MemoryLog) -> list[Event]:
    return [decode(stored).event async for batch in log.read() for stored in batch]


async def append(log: MemoryLog, event: Event) -> None:
    await log.append([draft(begin(event, source="/test"))])


async def cut_off(log: MemoryLog, it: bytes, *, delivery: int, told_to_stop: bool = True) -> None:
    """Cancelled while it runs the episode: its worker ends, because it was told to or because it cannot go on."""
    begun = asyncio.Event()

    async def run(_: EpisodeTask) -> None:
        begun.set()
        await asyncio.Event().wait()

    stopping = EpisodeHandler(
        log,
        run,  # type: ignore[arg-type]
        own_network=OwnNetwork(allow_private=True),
        worker="worker-1",
        told_to_stop=lambda: told_to_stop,
    )
    handling = asyncio.create_task(stopping.handle(it, delivery=delivery))
    await begun.wait()
    handling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handling


async def test_an_episode_that_runs_is_completed_and_done(log: MemoryLog, stage: SimulationThread) -> None:
    async with served() as policy:
        answer = await worker(log, stage).handle(body(task(endpoint=policy.url, terms=TERMS)), delivery=1)
    assert answer == Done()
    [event] = await facts_in(log)
    assert isinstance(event, EpisodeCompleted)
    assert event.success
    assert (event.attempt, event.worker) == (1, "worker-1")
    assert policy.acts == event.steps == event.latency.calls


async def test_the_outcome_follows_from_the_event_that_asked_for_it(log: MemoryLog, stage: SimulationThread) -> None:
    it = task(endpoint="http://127.0.0.1:1", terms=TERMS)
    await worker(log, stage).handle(body(it), delivery=1)
    stored = await log.last(subjects.outcome(it.key))
    assert stored is not None
    envelope = decode(stored).envelope
    assert (envelope.causation, envelope.correlation) == (it.cause, it.correlation)


async def test_neither_worker_nor_attempt_changes_what_happened(stage: SimulationThread) -> None:
    first, second = MemoryLog(), MemoryLog()
    told_apart = {"attempt", "worker", "latency", "duration_s"}
    async with served() as policy, SimulationThread() as other_stage:
        it = task(endpoint=policy.url, terms=TERMS)
        await worker(first, stage, "worker-1").handle(body(it), delivery=1)
        await worker(second, other_stage, "worker-2").handle(body(it), delivery=2)
    [one], [_, other] = await facts_in(first), await facts_in(second)
    assert one.model_dump(exclude=told_apart) == other.model_dump(exclude=told_apart)


async def test_an_episode_with_an_outcome_is_not_run_again(log: MemoryLog, stage: SimulationThread) -> None:
    async with served() as policy:
        it = task(endpoint=policy.url, terms=TERMS)
        await append(log, facts.completed(it.key))
        assert await worker(log, stage).handle(body(it), delivery=2) == Done()
    assert policy.resets == []
    assert len(await facts_in(log)) == 1


async def test_the_second_of_two_outcomes_gives_way(log: MemoryLog, stage: SimulationThread) -> None:
    async def lose(_: bytes) -> web.Response:
        if await log.last(subjects.outcome(it.key)) is None:
            await append(log, facts.completed(it.key, success=True))
        return web.json_response({"action": {}}, status=500)

    async with served(lose) as policy:
        it = task(endpoint=policy.url, terms=TERMS)
        assert await worker(log, stage).handle(body(it), delivery=1) == Done()
    assert await facts_in(log) == [facts.completed(it.key, success=True)]


def answering(**kwargs: object) -> Act:
    async def act(_: bytes) -> web.Response:
        return web.Response(**kwargs)  # type: ignore[arg-type]

    return act


async def never(_: bytes) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


def acting(action: object) -> Act:
    return answering(body=orjson.dumps({"action": action}), content_type="application/json")


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (never, ForfeitCode.DEADLINE_MISSED),
        (answering(status=500), ForfeitCode.HTTP_ERROR),
        (answering(status=307, headers={"Location": "/elsewhere"}), ForfeitCode.REDIRECT_REFUSED),
        (answering(body=b"x" * (1 << 21)), ForfeitCode.BODY_TOO_LARGE),
        (answering(body=b"{"), ForfeitCode.MALFORMED),
        (acting({"continuous": {"ee_twist": [0, 0, 0]}}), ForfeitCode.WRONG_SHAPE),
        (answering(body=b'{"action": {"continuous": {"gripper": [NaN]}}}'), ForfeitCode.NON_FINITE),
    ],
    ids=lambda value: value.value if isinstance(value, ForfeitCode) else "",
)
async def test_a_policy_that_fails_forfeits(
    act: Act, code: ForfeitCode, log: MemoryLog, stage: SimulationThread
) -> None:
    async with served(act) as policy:
        terms = TERMS.model_copy(update={"act_deadline_ms": 300}) if act is never else TERMS
        answer = await worker(log, stage).handle(body(task(endpoint=policy.url, terms=terms)), delivery=1)
    assert answer == Done()
    [event] = await facts_in(log)
    assert isinstance(event, EpisodeForfeited)
    assert (event.code, event.steps) == (code, 0)


async def test_a_policy_that_is_not_there_forfeits(log: MemoryLog, stage: SimulationThread) -> None:
    await worker(log, stage).handle(body(task(endpoint="http://127.0.0.1:1", terms=TERMS)), delivery=1)
    [event] = await facts_in(log)
    assert isinstance(event, EpisodeForfeited)
    assert event.code is ForfeitCode.UNREACHABLE


async def test_a_private_endpoint_forfeits_unless_it_is_allowed(log: MemoryLog, stage: SimulationThread) -> None:
    handler = handler_of(log, Simulator(stage, allow_private_endpoints=False))
    async with served() as policy:
        await handler.handle(body(task(endpoint=policy.url, terms=TERMS)), delivery=1)
    [event] = await facts_in(log)
    assert isinstance(event, EpisodeForfeited)
    assert event.code is ForfeitCode.ADDRESS_REFUSED
    assert policy.resets == []


async def test_a_failure_of_ours_is_tried_again_and_then_abandoned(log: MemoryLog, stage: SimulationThread) -> None:
    it = task(env="metaworld/no-such-v3", terms=TERMS)
    assert isinstance(await worker(log, stage).handle(body(it), delivery=1), RetryAfter)
    assert await worker(log, stage).handle(body(it), delivery=2) == Done()
    first, second, end = await facts_in(log)
    assert isinstance(first, EpisodeAttemptFailed)
    assert isinstance(second, EpisodeAttemptFailed)
    assert [first.attempt, second.attempt] == [1, 2]
    assert first.code is FailureCode.SIMULATOR_ERROR
    assert isinstance(end, EpisodeAbandoned)
    assert end.attempts == 2


async def test_a_lost_attempt_is_recorded_and_the_next_one_counts(log: MemoryLog, stage: SimulationThread) -> None:
    async with served() as policy:
        await worker(log, stage, "worker-2").handle(body(task(endpoint=policy.url, terms=TERMS)), delivery=2)
    lost, end = await facts_in(log)
    assert isinstance(lost, EpisodeAttemptFailed)
    assert (lost.code, lost.attempt) == (FailureCode.WORKER_LOST, 1)
    assert isinstance(end, EpisodeCompleted)
    assert (end.attempt, end.worker) == (2, "worker-2")


async def test_attempts_that_are_handed_back_do_not_count(log: MemoryLog, stage: SimulationThread) -> None:
    async with served() as policy:
        it = body(task(endpoint=policy.url, terms=TERMS))
        for delivery in (1, 2, 3):
            await cut_off(log, it, delivery=delivery)
        assert await worker(log, stage).handle(it, delivery=5) == Done()
    *ended, end = await facts_in(log)
    failed = [event for event in ended if isinstance(event, EpisodeAttemptFailed)]
    assert [event.code.value for event in failed] == ["handed_back"] * 3 + ["worker_lost"]
    assert isinstance(end, EpisodeCompleted)
    assert end.attempt == 5


async def test_a_worker_that_cannot_say_what_it_hands_back_does_not_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Away(MemoryLog):
        async def append(self, drafts: Sequence[Draft]) -> list[int]:
            await asyncio.Event().wait()
            return []

    monkeypatch.setattr(handler, "HAND_BACK_S", 0.01)
    async with asyncio.timeout(10):
        await cut_off(Away(), body(task(terms=TERMS)), delivery=1)


async def test_a_worker_that_cannot_go_on_hands_nothing_back(log: MemoryLog, stage: SimulationThread) -> None:
    """Its episode may be why: else what hangs every worker would be tried for ever."""
    it = body(task(terms=TERMS))
    for delivery in (1, 2):
        await cut_off(log, it, delivery=delivery, told_to_stop=False)
    assert await worker(log, stage).handle(it, delivery=3) == Done()
    first, second, end = await facts_in(log)
    assert isinstance(first, EpisodeAttemptFailed)
    assert isinstance(second, EpisodeAttemptFailed)
    assert first.code is second.code is FailureCode.WORKER_LOST
    assert isinstance(end, EpisodeAbandoned)


async def test_an_episode_that_loses_every_worker_is_abandoned(log: MemoryLog, stage: SimulationThread) -> None:
    it = task(terms=TERMS)
    await append(log, facts.attempt_failed(it.key, attempt=1))
    assert await worker(log, stage).handle(body(it), delivery=3) == Done()
    _, lost, end = await facts_in(log)
    assert isinstance(lost, EpisodeAttemptFailed)
    assert lost.attempt == 2
    assert isinstance(end, EpisodeAbandoned)


async def test_a_worker_that_was_taken_for_lost_leaves_the_episode_to_its_successor(
    log: MemoryLog, stage: SimulationThread
) -> None:
    it = task(env="metaworld/no-such-v3", terms=TERMS)

    async def run_too_long(_: EpisodeTask) -> None:
        await append(log, facts.attempt_failed(it.key, attempt=1))
        raise RuntimeError("too late")

    handler = EpisodeHandler(
        log,
        run_too_long,  # type: ignore[arg-type]
        own_network=OwnNetwork(allow_private=True),
        worker="worker-1",
    )
    assert isinstance(await handler.handle(body(it), delivery=1), LetGo)
    assert len(await facts_in(log)) == 1


async def test_an_episode_that_this_worker_runs_is_not_started_twice(log: MemoryLog, stage: SimulationThread) -> None:
    called, go_on = asyncio.Event(), asyncio.Event()

    async def wait(request: bytes) -> web.Response:
        called.set()
        await go_on.wait()
        return await lazy(request)

    async with served(wait) as policy:
        handler = worker(log, stage)
        it = task(endpoint=policy.url, terms=TERMS.model_copy(update={"steps_max": 3}))
        first = asyncio.create_task(handler.handle(body(it), delivery=1))
        await called.wait()
        assert isinstance(await handler.handle(body(it), delivery=2), LetGo)
        go_on.set()
        assert await first == Done()
    assert len(await facts_in(log)) == 1


async def test_a_hanging_simulation_fails_the_attempt_and_is_noticed(log: MemoryLog, stage: SimulationThread) -> None:
    hanging = threading.Event()
    hang = asyncio.create_task(stage.run(hanging.wait, 60))
    try:
        terms = TERMS.model_copy(update={"act_deadline_ms": 1, "reset_deadline_ms": 1, "steps_max": 1})
        simulator = Simulator(stage, allow_private_endpoints=True, setup_allowance_s=0.1, stuck_s=0.1)
        handler = handler_of(log, simulator)
        assert isinstance(await handler.handle(body(task(terms=terms)), delivery=1), RetryAfter)
    finally:
        hanging.set()
        await hang
    [event] = await facts_in(log)
    assert isinstance(event, EpisodeAttemptFailed)
    assert "EpisodeOverdue" in event.detail
    assert simulator.stuck.is_set()


@pytest.mark.parametrize("poison", [b"", b"\xff\xfe", b'{"cycle": 1}'])
async def test_poison_is_dropped(poison: bytes, log: MemoryLog, stage: SimulationThread) -> None:
    assert isinstance(await worker(log, stage).handle(poison, delivery=1), Drop)
    assert await facts_in(log) == []


async def test_attempts_of_a_newer_version_are_left_to_newer_workers(log: MemoryLog, stage: SimulationThread) -> None:
    it = task(terms=TERMS)
    earlier = draft(begin(facts.attempt_failed(it.key), source="/test"))
    document = orjson.loads(earlier.body)
    document["data"]["learned_later"] = 1
    await log.append([earlier._replace(body=orjson.dumps(document))])
    answer = await worker(log, stage).handle(body(it), delivery=2)
    assert isinstance(answer, Drop)
    assert "earlier attempt cannot be read" in answer.reason


async def test_what_is_wrong_with_a_task_is_told_without_its_endpoint(
    log: MemoryLog, stage: SimulationThread
) -> None:
    secret = "https://sealed.example"
    newer = orjson.dumps({**task(endpoint=secret).model_dump(mode="json"), "cycle": secret, "camera_fps": 30})
    answer = await worker(log, stage).handle(newer, delivery=1)
    assert isinstance(answer, Drop)
    assert "camera_fps: Extra inputs are not permitted" in answer.reason
    assert secret not in answer.reason
