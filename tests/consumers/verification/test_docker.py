"""What an operator of a Docker engine can rely on: what is told, and that nothing is left when things go wrong."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consumers.verification.sandbox.docker import IMAGE, IMAGE_COMMAND, probe_docker
from consumers.verification.sandbox.owners import LABEL, VERSION, Owner, is_orphan, labels_of, ourselves
from consumers.verification.sandbox.protocol import Answered, Limits, NoSandbox, Question, Sandbox, SandboxFailed
from sim.runtime.docker import engine_at
from tests.consumers.verification.conftest import ACT, HONEST, RESET, Docker, Repository, sandbox_engine
from tests.consumers.verification.test_endings import USER, line_of, program
from tests.eventually import eventually
from tests.fixtures.docker_engine import Engine, NoEngine


@pytest.fixture
def own_engine() -> Iterator[Engine]:
    """One that a test may stop, kill, or take the image from."""
    try:
        with sandbox_engine() as made:
            yield made
    except NoEngine as error:
        pytest.skip(str(error))


async def usable(engine: Engine) -> Sandbox:
    found = await probe_docker(engine.url)
    assert not isinstance(found, NoSandbox), found
    return found


async def test_where_nobody_answers_there_is_no_sandbox(tmp_path: Path) -> None:
    found = await probe_docker(f"unix://{tmp_path}/docker.sock")
    assert isinstance(found, NoSandbox)
    assert found.reason.startswith(f"no Docker engine could be used at unix://{tmp_path}/docker.sock (start one,")


async def test_who_has_no_image_is_told_how_to_make_it(own_engine: Engine) -> None:
    async with engine_at(own_engine.url) as client:
        await client.images.delete(IMAGE)
    found = await probe_docker(own_engine.url)
    assert isinstance(found, NoSandbox)
    assert found.reason.endswith(f"has no image {IMAGE} with the label {LABEL}={VERSION}: {IMAGE_COMMAND}")


async def test_an_engine_that_is_killed_is_not_held_against_the_policy(
    own_engine: Engine, repository: Repository
) -> None:
    sandbox = await usable(own_engine)
    async with sandbox.run(repository(HONEST), Limits()) as session:
        assert isinstance(await session.ask(Question.RESET, RESET), Answered)
        own_engine.stop(signal.SIGKILL)
        assert isinstance(await session.ask(Question.ACT, ACT), SandboxFailed)
        own_engine.start()
    assert await own_engine.containers() == frozenset()


async def test_an_engine_that_stops_is_not_held_against_the_policy(
    own_engine: Engine, repository: Repository
) -> None:
    sandbox = await usable(own_engine)
    async with sandbox.run(repository(HONEST), Limits()) as session:
        await asyncio.to_thread(own_engine.stop)
        assert isinstance(await session.ask(Question.ACT, ACT), SandboxFailed)
        await asyncio.to_thread(own_engine.start)
    assert await own_engine.containers() == frozenset()


async def test_files_that_the_engine_cannot_see_are_not_held_against_the_policy(
    docker: Docker, repository: Repository
) -> None:
    found = await docker.sandbox()
    assert not isinstance(found, NoSandbox), found
    directory = repository(HONEST)
    directory.joinpath("policy.py").unlink()
    directory.rmdir()
    async with found.run(directory, Limits()) as session:
        assert isinstance(session.ended, SandboxFailed)
        assert await session.ask(Question.ACT, ACT) == session.ended
    assert "bind source path does not exist" in session.ended.reason


async def test_containers_of_the_dead_are_removed_and_those_of_the_living_are_not(docker: Docker) -> None:
    us = ourselves()
    owners = {"living": us, "dead": replace(us, started=us.started + 1)}
    made = {}
    async with engine_at(docker.engine.url) as client:
        for name, owner in owners.items():
            wanted: dict[str, Any] = {"Image": IMAGE, "Cmd": ["/nothing"], "Labels": labels_of(owner)}
            made[name] = await client.containers.create(wanted)
        assert not isinstance(await probe_docker(docker.engine.url), NoSandbox)
        assert await docker.engine.containers() & {each.id for each in made.values()} == {made["living"].id}
        await made["living"].delete()


async def test_an_engine_shows_nothing_of_a_sandbox_that_ended_by_itself(
    docker: Docker, repository: Repository
) -> None:
    found = await docker.sandbox()
    assert not isinstance(found, NoSandbox), found
    before = await docker.containers()

    async def gone() -> bool:
        return await docker.containers() == before

    async with found.run(repository("import os; os._exit(3)"), Limits()) as session:
        assert session.ended is not None
        await eventually(gone)


CLINGING = """
import os, time
class Policy:
    def reset(self, task_config): pass
def make_policy():
    for descriptor in range(3, 64):
        try:
            os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY)
        except OSError:
            pass
    return Policy()
"""
"""Opens the pipe of its questions for writing, so that it has no end when we are gone."""


async def test_a_policy_that_clings_to_its_questions_goes_when_the_next_verifier_starts(
    docker: Docker, repository: Repository
) -> None:
    assert not isinstance(await docker.sandbox(), NoSandbox)
    before = await docker.containers()
    async with program(docker.source() + USER, str(repository(CLINGING))) as user:
        assert await line_of(user) == "None\n"
        assert len(await docker.containers() - before) == 1
        user.kill()
        await user.wait()
        assert not isinstance(await probe_docker(docker.engine.url), NoSandbox)
    assert await docker.containers() == before


@pytest.mark.parametrize(
    ("changed", "orphan"),
    [
        ({}, False),
        ({"started": 1}, True),
        ({"pid": 1 << 30}, True),
        ({"boot": "before"}, True),
        ({"host": "elsewhere", "boot": "theirs"}, False),
        ({"pids": "pid:[1]", "pid": 1 << 30}, False),
    ],
)
def test_only_who_is_certainly_dead_leaves_orphans(changed: dict[str, object], orphan: bool) -> None:
    us = ourselves()
    owner: Owner = replace(us, **changed)  # type: ignore[arg-type]
    assert is_orphan(labels_of(owner), us) == orphan
