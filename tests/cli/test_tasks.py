"""`kinitro tasks`, as an operator uses it."""

from __future__ import annotations

import asyncio
import json

import pytest

from events import subjects
from events.connection import connect
from events.dead_letters import DeadLetters
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.streams import ensure_streams
from events.tasks import CheckTask, EpisodeTask, Task
from tests.cli.conftest import Command
from tests.controls import facts
from tests.controls.tasks import task
from tests.fixtures.nats import NatsProcess
from tests.fixtures.projecting import write

SECRET = "https://sealed-somewhere.example/policy"
EPISODE = task(endpoint=SECRET)
CHECK = facts.check_task().model_copy(update={"endpoint": SECRET, "witnesses": (SECRET,)})
DEAD = subjects.task(EPISODE.key)


@pytest.fixture
def url(nats_alone: NatsProcess) -> str:
    """Of a log and a queue, both empty."""

    async def fill() -> None:
        async with await connect(nats_alone.url, "tests") as connection:
            await ensure_streams(connection)

    asyncio.run(fill())
    return nats_alone.url


def bury(url: str, it: Task, *, body: bytes | None = None) -> None:
    async def keep() -> None:
        async with await connect(url, "tests") as connection:
            body_ = it.model_dump_json().encode() if body is None else body
            told = {"reason": "camera_fps: Extra inputs\nare not permitted", "worker": "vm-1", "deliveries": 1}
            await DeadLetters(connection).keep(subjects.task_of(it), body_, **told)  # type: ignore[arg-type]

    asyncio.run(keep())


def queue(url: str, *them: EpisodeTask | CheckTask) -> None:
    async def put() -> None:
        async with await connect(url, "tests") as connection:
            await JetStreamQueue(connection).put(them)

    asyncio.run(put())


def test_of_nothing_that_is_said(command: Command, url: str) -> None:
    listed = command("tasks", "list", "--nats-url", url)
    assert listed.out.endswith("the work queue is empty\nno dead letters\n")
    assert "no dead letters" in command("tasks", "retry", "--all", "--nats-url", url).out


def test_what_is_queued_is_counted_by_cycle_environment_and_miner(command: Command, url: str) -> None:
    queue(url, *(task(1, index=index) for index in range(3)), task(2, uid=1), CHECK)
    out = command("tasks", "list", "--nats-url", url).out
    assert "5 on the work queue: 5 wait, 0 with workers, 0 with verifiers" in out
    assert "cycle 1  episodes: 3, checks: 1" in out
    assert f"by environment  {facts.REACH}: 3" in out
    document = json.loads(command("tasks", "list", "--json", "--nats-url", url).out)
    assert document["dead_letters"] == []
    assert [(it["cycle"], it["episodes"], it["by_uid"]) for it in document["queue"]["cycles"]] == [
        (1, 3, {"0": 4}),
        (2, 1, {"1": 1}),
    ]


def test_a_dead_letter_is_one_line_in_the_list(command: Command, url: str) -> None:
    bury(url, EPISODE)
    bury(url, EPISODE)
    [line] = [it for it in command("tasks", "list", "--nats-url", url).out.splitlines() if DEAD in it]
    assert line.split()[0] == "2"
    assert "(2 times): camera_fps: Extra inputs are not permitted" in line
    [letter] = json.loads(command("tasks", "list", "--json", "--nats-url", url).out)["dead_letters"]
    assert (letter["task"], letter["times"], letter["worker"]) == (DEAD, 2, "vm-1")
    assert "body" not in letter


@pytest.mark.parametrize("which", ["1", DEAD])
def test_a_dead_letter_is_shown_whole_but_for_its_secrets(command: Command, url: str, which: str) -> None:
    newer = json.dumps({**EPISODE.model_dump(mode="json"), "mirrors": [SECRET]}).encode()
    bury(url, EPISODE, body=newer)
    out = command("tasks", "show", which, "--nats-url", url).out
    assert "by vm-1, on delivery 1" in out
    assert '"steps_max": 500' in out
    assert '"seed": "(hidden: secret until the cycle has ended)"' in out
    assert '"mirrors": "(hidden: this version does not know the field)"' in out
    assert "sealed-somewhere" not in out


def test_of_a_check_neither_endpoint_nor_witnesses_are_shown(command: Command, url: str) -> None:
    bury(url, CHECK)
    out = command("tasks", "show", "1", "--nats-url", url).out
    assert f'"repo": "{CHECK.repo}"' in out
    assert '"step":' in out
    assert "sealed-somewhere" not in out


@pytest.mark.parametrize("body", [b'{"endpoint": "' + SECRET.encode(), f'["{SECRET}"]'.encode(), b"\xff"])
def test_what_is_no_task_at_all_is_not_shown(command: Command, url: str, body: bytes) -> None:
    bury(url, EPISODE, body=body)
    out = command("tasks", "show", "1", "--nats-url", url).out
    assert f"its {len(body)} bytes are no JSON object" in out
    assert "sealed-somewhere" not in out


def test_a_named_task_that_is_settled_is_not_retried(command: Command, url: str) -> None:
    async def settle() -> None:
        async with await connect(url, "tests") as connection:
            await write(JetStreamLog(connection), facts.abandoned(EPISODE.key))

    asyncio.run(settle())
    bury(url, EPISODE)
    answer = command("tasks", "retry", DEAD, "--nats-url", url)
    assert answer.status == 1
    assert "not retried, and its letter removed: the episode was abandoned" in answer.out
    assert command("tasks", "list", "--nats-url", url).out.splitlines() == [
        "the work queue is empty",
        "no dead letters",
    ]


def test_only_what_is_named_is_retried(command: Command, url: str) -> None:
    bury(url, EPISODE)
    bury(url, CHECK)
    answer = command("tasks", "retry", "2", "--nats-url", url)
    assert (answer.status, answer.out) == (0, f"{subjects.task_of(CHECK)}: on the queue again\n")
    assert "dead letters: 1" in command("tasks", "list", "--nats-url", url).out


@pytest.mark.parametrize(
    ("arguments", "tells"),
    [
        ("show 7", "there is no dead letter 7; `kinitro tasks list` has those that are there"),
        ("show task.nowhere", "there is no dead letter task.nowhere"),
        ("retry 7 8", "there is no dead letter 7"),
        ("retry", "name the dead letters to be retried, or all of them with --all"),
        ("retry 7 --all", "name the dead letters to be retried, or all of them with --all"),
        ("show *", "there is no dead letter *"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(command: Command, url: str, arguments: str, tells: str) -> None:
    answer = command("tasks", *arguments.split(), "--nats-url", url)
    assert answer.status == 2
    assert tells in answer.err
    assert len(answer.err.splitlines()) == 1
