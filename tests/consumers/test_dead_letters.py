"""What a worker cannot take is kept, and can be put back: the queue in a rolling upgrade, end to end."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from faststream.nats import NatsMessage

from consumers.intake import started
from consumers.simulation.outcomes import parse_task
from consumers.work import Answer, Burial, Drop
from events import frames, subjects
from events.dead_letters import DeadLetters, Filed
from events.episodes import EpisodeCompleted
from events.stream_settings import DEAD_LETTERS
from events.tasks import EpisodeTask
from tests.consumers.conftest import ROOT, Bus
from tests.consumers.test_intake import intake_of
from tests.consumers.test_worker import TERMS, running_worker
from tests.controls.tasks import task
from tests.eventually import eventually
from tests.fixtures.policies import lazy, served

NEW_FIELD = "camera_fps"


def of_a_newer_version(it: EpisodeTask) -> bytes:
    return json.dumps({**it.model_dump(mode="json"), NEW_FIELD: 30}).encode()


def parse_as_a_newer_version(body: bytes) -> EpisodeTask:
    document = json.loads(body)
    document.pop(NEW_FIELD)
    return parse_task(json.dumps(document).encode())


async def put(bus: Bus, it: EpisodeTask, body: bytes) -> None:
    await bus.connection.ask(lambda reply: frames.request(subjects.task(it.key), reply, body))


async def kinitro(bus: Bus, *arguments: str) -> str:
    """What the command prints; it has to succeed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "kinitro.py"), *arguments, "--nats-url", bus.url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def letter_of(bus: Bus, it: EpisodeTask) -> Filed | None:
    return await DeadLetters(bus.connection).find(subjects.task(it.key))


async def test_a_task_of_a_newer_version_waits_as_a_dead_letter_for_a_newer_worker(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(lazy) as policy:
        it = task(endpoint=policy.url, terms=TERMS)
        async with running_worker(bus, name="old"):
            await put(bus, it, of_a_newer_version(it))
            await eventually(bus.is_empty)
        assert await bus.facts() == []

        listed, shown = await kinitro(bus, "tasks", "list"), await kinitro(bus, "tasks", "show", "1")
        assert f"{subjects.task(it.key)}  since " in listed
        assert "was it queued by another version? camera_fps: Extra inputs are not permitted" in listed
        assert "by old, on delivery 1" in shown
        assert policy.url not in listed + shown

        assert "on the queue again" in await kinitro(bus, "tasks", "retry", "--all")
        monkeypatch.setattr("consumers.simulation.handler.parse_task", parse_as_a_newer_version)
        async with running_worker(bus, name="new"):
            await eventually(bus.is_empty)
    [outcome] = await bus.facts()
    assert isinstance(outcome, EpisodeCompleted)
    assert (outcome.worker, outcome.attempt) == ("new", 1)
    assert "no dead letters" in await kinitro(bus, "tasks", "list")


async def test_a_task_whose_letter_cannot_be_kept_stays_on_the_queue(bus: Bus) -> None:
    config = (await bus.connection.api(f"STREAM.INFO.{DEAD_LETTERS}"))["config"]
    await bus.connection.api(f"STREAM.UPDATE.{DEAD_LETTERS}", {**config, "max_msg_size": 10})
    it, deliveries = task(), 0

    async def drop(message: NatsMessage) -> Answer:
        nonlocal deliveries
        deliveries = message.raw_message.metadata.num_delivered
        return Drop("a task of a newer version")

    app, intake = intake_of(bus.url)
    stop, burial = asyncio.Event(), Burial(DeadLetters(bus.connection), "worker-1")
    await bus.queue.put([it])
    async with started(app):
        working = asyncio.create_task(intake.run(drop, stop, grace_s=5, burial=burial))
        await eventually(lambda: deliveries > 1)
        assert await bus.queue.pending() == 1
        await bus.connection.api(f"STREAM.UPDATE.{DEAD_LETTERS}", config)
        await eventually(bus.is_empty)
        stop.set()
        await working
    filed = await letter_of(bus, it)
    assert filed is not None
    assert filed.letter.body == it.model_dump_json().encode()
    assert filed.letter.deliveries == deliveries
