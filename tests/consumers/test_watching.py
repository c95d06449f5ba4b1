"""Workers that are watched: metrics through the executor, live readers, traces to a collector."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from consumers.simulation.executor import names_of, processes, run_executor
from consumers.simulation.worker import WorkerSettings, run_worker
from events import frames, live
from events.envelope import new_id
from events.episodes import EpisodeCompleted, ForfeitCode
from events.ids import EpisodeKey
from events.live import Detail
from events.tasks import EpisodeTask
from events.tracing import episode_span, event_span, trace_of
from events.watching_options import MetricsOptions
from tests.consumers.conftest import LEASE_S, ROOT, Bus
from tests.controls import facts
from tests.controls.tasks import task
from tests.eventually import eventually
from tests.fixtures.collector import collecting
from tests.fixtures.policies import lazy, served
from tests.fixtures.ports import free_port

TERMS = facts.TERMS.model_copy(update={"act_deadline_ms": 20_000, "steps_max": 50})


@asynccontextmanager
async def running_worker(bus: Bus, **settings: Any) -> AsyncIterator[None]:
    stop = asyncio.Event()
    whole = WorkerSettings(bus.url, "worker-1", allow_private_endpoints=True, lease_s=LEASE_S, **settings)
    worker = asyncio.create_task(run_worker(whole, stop))
    try:
        yield
    finally:
        stop.set()
        await worker


# Metrics


@asynccontextmanager
async def executor(bus: Bus, port: int, *, workers: int) -> AsyncIterator[None]:
    stop = asyncio.Event()
    options = ("--nats-url", bus.url, "--allow-private-endpoints", "--lease-s", str(LEASE_S))
    command = (sys.executable, str(ROOT / "kinitro.py"), "worker", *options)
    metrics = MetricsOptions(metrics_port=port)
    running = asyncio.create_task(
        run_executor(processes(command, names_of(workers), metrics=True), stop=stop, metrics=metrics)
    )
    try:
        yield
    finally:
        stop.set()
        await running


async def scraped(port: int) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Labels and values by the name of the sample; nothing while nobody listens."""
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as response:
            text = await response.text()
    except aiohttp.ClientError:
        return {}
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def summed(found: dict[str, list[tuple[dict[str, str], float]]], name: str, **labels: str) -> float:
    return sum(value for its, value in found.get(name, []) if labels.items() <= its.items())


async def test_the_executor_tells_what_all_its_workers_did(bus: Bus) -> None:
    port, refused = free_port(), "http://127.0.0.1:1"
    async with executor(bus, port, workers=2), served(lazy) as policy:

        async def up() -> bool:
            return summed(await scraped(port), "kinitro_worker_up") == 2

        await eventually(up)
        tasks = [task(index=index, endpoint=policy.url, terms=TERMS) for index in range(6)]
        await bus.queue.put(
            [*tasks, task(index=6, endpoint=refused, terms=TERMS.model_copy(update={"attempts_max": 1}))]
        )
        await eventually(bus.is_empty)
        found = await scraped(port)
    events = await bus.facts()
    completed = [event for event in events if isinstance(event, EpisodeCompleted)]
    assert len(completed) == 6
    assert summed(found, "kinitro_attempts_total", end="completed") == 6
    assert summed(found, "kinitro_act_latency_seconds_count") >= sum(event.latency.calls for event in completed)
    assert summed(found, "kinitro_append_duration_seconds_count") >= 7
    assert summed(found, "kinitro_episodes_running") == 0
    workers = {labels["worker"] for labels, _ in found["kinitro_attempts_total"]}
    assert {event.worker for event in completed} <= workers
    assert len(workers) == 2


async def test_a_worker_that_hangs_withholds_no_other_and_is_told(bus: Bus) -> None:
    port = free_port()
    async with executor(bus, port, workers=2):

        async def up() -> float:
            return summed(await scraped(port), "kinitro_worker_up")

        await eventually(lambda: _is(up, 2))
        names = {labels["worker"] for labels, _ in (await scraped(port))["kinitro_worker_up"]}
        child = _worker_processes(bus)[0]
        os.kill(child, signal.SIGSTOP)
        try:
            await eventually(lambda: _is(up, 1))
            found = await scraped(port)
            assert {labels["worker"] for labels, _ in found["kinitro_worker_up"]} == names
            assert len(found["kinitro_episodes_running"]) == 1
        finally:
            os.kill(child, signal.SIGCONT)


async def _is(value: Any, expected: float) -> bool:
    return bool(await value() == expected)


def _worker_processes(bus: Bus) -> list[int]:
    """Of workers at this server; it is the test's own."""
    found = subprocess.run(
        ["pgrep", "-f", f"worker --nats-url {bus.url}"], capture_output=True, text=True, check=True
    )
    return [int(line) for line in found.stdout.split()]


def test_forfeit_codes_are_few_enough_to_be_labels() -> None:
    assert len(ForfeitCode) < 20


# Live


class Reader:
    """Somebody who looks at one episode."""

    def __init__(self, bus: Bus, key: EpisodeKey) -> None:
        self._bus, self._key = bus, key
        self.steps: list[live.Step] = []

    async def listen(self) -> None:
        await self._bus.connection.client.subscribe_directly(live.steps(self._key), self._heard)

    async def ask(self, body: bytes = b"") -> None:
        """Returns when the server has the wish, and so before anything that happens after it."""
        await self._bus.connection.send(frames.publish(live.wish(self._key), body))
        await self._bus.connection.client.flush()

    def _heard(self, _: bytes, __: bytes, ___: bytes, body: bytes) -> None:
        self.steps.append(live.Step.model_validate_json(body))


class Gate:
    """A policy whose first act waits until it is opened, and which is slow: there is time to be looked at."""

    def __init__(self) -> None:
        self.reached, self.open = asyncio.Event(), asyncio.Event()

    async def __call__(self, body: bytes) -> web.Response:
        self.reached.set()
        await self.open.wait()
        await asyncio.sleep(0.02)
        return await lazy(body)


@asynccontextmanager
async def told_episode(bus: Bus, it: EpisodeTask) -> AsyncIterator[Reader]:
    """An episode that somebody listens to from its beginning on."""
    reader = Reader(bus, it.key)
    await reader.listen()
    await bus.queue.put([it])
    yield reader
    await eventually(bus.is_empty)
    await bus.connection.client.flush()


async def test_an_episode_nobody_asks_for_is_not_told_of(bus: Bus) -> None:
    async with (
        served(lazy) as policy,
        running_worker(bus),
        told_episode(bus, task(endpoint=policy.url, terms=TERMS)) as reader,
    ):
        pass
    assert reader.steps == []


async def test_who_asks_sees_the_steps_and_nothing_that_helps_a_policy(bus: Bus) -> None:
    gate = Gate()
    async with (
        served(gate) as policy,
        running_worker(bus),
        told_episode(bus, task(endpoint=policy.url, terms=TERMS)) as reader,
    ):
        await gate.reached.wait()
        await reader.ask(live.FRAMES)
        gate.open.set()
    assert reader.steps[-1].done
    assert reader.steps[-1].step == TERMS.steps_max
    assert [step.step for step in reader.steps] == sorted(step.step for step in reader.steps)
    assert {(step.reward, step.total_reward, step.frame) for step in reader.steps} == {(None, None, None)}


@pytest.mark.camera
async def test_where_the_operator_allows_it_rewards_and_pictures_are_told(bus: Bus) -> None:
    gate = Gate()
    terms = TERMS.model_copy(update={"observation_profile": "rgb84/1", "steps_max": 30})
    async with (
        served(gate) as policy,
        running_worker(bus, live_detail=Detail.FRAMES),
        told_episode(bus, task(endpoint=policy.url, terms=terms)) as reader,
    ):
        await gate.reached.wait()
        await reader.ask(live.FRAMES)
        gate.open.set()
    [outcome] = [event for event in await bus.facts() if isinstance(event, EpisodeCompleted)]
    assert reader.steps[-1].total_reward == outcome.total_reward
    assert any(step.frame is not None for step in reader.steps)


# Traces


async def test_one_episode_is_one_trace_with_the_right_parents(bus: Bus) -> None:
    async with collecting() as collector, served(lazy) as policy:
        it = task(endpoint=policy.url, terms=TERMS)
        async with running_worker(bus, otlp_endpoint=collector.url):
            await bus.queue.put([it])
            await eventually(bus.is_empty)
        await eventually(lambda: len(collector.spans) >= 5)
    [recorded] = await bus.events()
    episode = episode_span(it.correlation, it.key)
    by_name = {span.name: span for span in collector.spans}
    assert set(by_name) == {"episode", "run", "reset", "acts", "append"}
    assert {span.trace_id for span in collector.spans} == {trace_of(it.correlation, it.key)}
    assert by_name["episode"].span_id == episode
    assert by_name["append"].span_id == event_span(recorded.id, "append")
    parents = {name: span.parent_id for name, span in by_name.items()}
    run = by_name["run"].span_id
    assert parents == {"episode": None, "run": episode, "append": episode, "reset": run, "acts": run}
    assert all(span.began_ns <= span.ended_ns for span in collector.spans)
    assert by_name["episode"].began_ns <= by_name["run"].began_ns
    assert by_name["reset"].ended_ns == by_name["acts"].began_ns


async def test_a_failed_attempt_is_told_below_the_same_episode(bus: Bus) -> None:
    it = task(endpoint="http://127.0.0.1:1", terms=TERMS.model_copy(update={"attempts_max": 2}))
    async with collecting() as collector:
        async with running_worker(bus, otlp_endpoint=collector.url):
            await bus.queue.put([it])
            await eventually(bus.is_empty)
        await eventually(lambda: any(span.name == "episode" for span in collector.spans))
    runs = [span for span in collector.spans if span.name == "run"]
    assert (
        len(runs)
        == len({span.span_id for span in runs})
        == len([e for e in await bus.facts() if hasattr(e, "attempt")])
    )
    assert {span.parent_id for span in runs} == {episode_span(it.correlation, it.key)}
    assert all(span.error for span in runs)


async def test_a_collector_that_is_away_costs_no_episode(bus: Bus) -> None:
    async with served(lazy) as policy, running_worker(bus, otlp_endpoint=f"http://127.0.0.1:{free_port()}"):
        await bus.queue.put([task(endpoint=policy.url, terms=TERMS)])
        await eventually(bus.is_empty)
    assert [type(event) for event in await bus.facts()] == [EpisodeCompleted]


def test_without_a_collector_the_library_is_not_imported() -> None:
    modules = "consumers.simulation.worker, projectors.commands"
    source = f"import sys, {modules}; print(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "False"


def test_ids_follow_from_events() -> None:
    key, correlation = facts.key(), new_id()
    assert trace_of(correlation, key) == trace_of(correlation, EpisodeKey.parse(key.id))
    assert trace_of(correlation, key) != trace_of(new_id(), key)
    assert 0 < episode_span(correlation, key) < 2**64
