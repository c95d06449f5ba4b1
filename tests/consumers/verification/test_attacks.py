"""Every attack fails, is told as what it is, disturbs nobody, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from consumers.verification.sandbox.protocol import Answered, Limits, Outcome, Question, Sandbox, Session
from sim.encodings import WireError
from sim.rl_interface import decode_action
from sim.spec import ARM_ACTION
from tests.consumers.verification.conftest import ACT, HONEST, RESET, Kernel, Place, Repository
from tests.consumers.verification.leftovers import held_namespaces, inhabitants

ATTACKS = Path(__file__).parent / "attacks"
HELPERS = {"attempts", "answer_pipe"}

LIMITS = Limits(memory_bytes=200 << 20, scratch_bytes=4 << 20, processes=16, total_s=120.0)
PATIENT_S, IMPATIENT_S = 60.0, 1.0
"""For an answer that has to come, and for one that never does."""

REFUSED = r"Raised\(error='PermissionError: all \d+ attempts were refused'\)"
NO_ANSWER = r"TimedOut\(clock=<Clock.ANSWER: 'answer'>, limit_s=1.0\)"
HARMLESS = r"Action\(.*"

EXPECTED = {
    "announces_giant": r"TooLarge\(limit_bytes=1048576, announced_bytes=4294967295\)",
    "answers_giant": r"TooLarge\(limit_bytes=1048576, announced_bytes=30000\d\d\)",
    "answers_half": NO_ANSWER,
    "answers_in_advance": r"Malformed\(reason='expected the answer to question 1, got one to question 7'\)",
    "answers_malformed": r"Malformed\('action.continuous: expected an object.*",
    "answers_not_finite": r"NonFinite\('byte .*: NaN is not a finite number'\)",
    "burns_processors": r"TimedOut\(clock=<Clock.CPU: 'cpu'>, limit_s=2.0\)",
    "calls_as_32_bit": r"Crashed\(exit_code=None, signal=31, stderr_tail=''\)",
    "closes_pipe": r"Malformed\(reason='the policy closed the pipe of its answers'\)",
    "crashes": r"Crashed\(exit_code=None, signal=11, stderr_tail=''\)",
    "exits": r"Crashed\(exit_code=3, signal=None, stderr_tail='good bye \?\[2J\\n'\)",
    "fills_disk": REFUSED,
    "fills_memory": r"OutOfMemory\(limit_bytes=209715200, used_bytes=(\d+|None)\)",
    "fills_memory_by_children": r"OutOfMemory\(limit_bytes=209715200, used_bytes=(\d+|None)\)",
    "fills_memory_unseen": REFUSED,
    "floods_errors": NO_ANSWER,
    "follows_links": REFUSED,
    "forks_for_ever": NO_ANSWER,
    "gains_privileges": REFUSED,
    "ignores_signals": NO_ANSWER,
    "leaves_daemons": HARMLESS,
    "opens_sockets": REFUSED,
    "patches_json": r"Malformed\('the body is not JSON.*",
    "patches_runner": r"Malformed\(reason='expected the answer to question 1, got one to question 0'\)",
    "reads_environment": REFUSED,
    "reads_files": REFUSED,
    "reads_processes": REFUSED,
    "signals_everybody": HARMLESS,
    "sleeps": NO_ANSWER,
    "sleeps_when_loaded": r"TimedOut\(clock=<Clock.START: 'start'>, limit_s=1.0\)",
    "stops_itself": NO_ANSWER,
    "writes_after_answer": r"Malformed\(reason=.expected a frame, got b'garbage.*",
    "writes_before_answer": r"Malformed\(reason=.expected a frame, got b'garbage.*",
    "writes_outside": REFUSED,
}
"""Attack -> how the last question, `ACT`, ends."""
EXPECTED_IN_CONTAINERS = EXPECTED | {"closes_pipe": NO_ANSWER}
"""An engine keeps the streams of a container open until its end."""


def test_every_attack_has_an_expectation() -> None:
    assert {path.stem for path in ATTACKS.glob("*.py")} - HELPERS == set(EXPECTED)


def limits_for(attack: str, expected: str) -> Limits:
    limits = replace(LIMITS, answer_s=IMPATIENT_S if expected == NO_ANSWER else PATIENT_S)
    match attack:
        case "burns_processors":
            return replace(limits, cpu_s=2.0)
        case "forks_for_ever":
            return replace(limits, memory_bytes=1 << 30)
        case "sleeps_when_loaded":
            return replace(limits, start_s=IMPATIENT_S)
        case _:
            return limits


@pytest.fixture
def hostile(repository: Repository, host_services: str, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Makes the repository of an attack, on a machine that has secrets and services."""
    monkeypatch.setenv("KINITRO_SIGNING_KEY", "a secret")

    def make(attack: str) -> Path:
        directory = repository(ATTACKS.joinpath(f"{attack}.py").read_text())
        for helper in HELPERS:
            shutil.copy(ATTACKS / f"{helper}.py", directory)
        directory.joinpath("host_services").write_text(host_services)
        directory.joinpath("link_to_hostname").symlink_to("/etc/hostname")
        directory.joinpath("link_to_root").symlink_to("/root")
        return directory

    return make


@pytest.fixture
async def host_services() -> AsyncIterator[str]:
    """The port and the abstract name of services that must never have a visitor."""
    visitors = []

    async def visited(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitors.append(writer.get_extra_info("sockname"))
        writer.close()

    name = f"kinitro-host-{os.getpid()}"
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0{name}")
    loopback = await asyncio.start_server(visited, "127.0.0.1", 0)
    async with loopback, await asyncio.start_unix_server(visited, sock=abstract):
        yield f"{loopback.sockets[0].getsockname()[1]} {name}"
    assert visitors == []


@asynccontextmanager
async def honest_neighbour(sandbox: Sandbox, directory: Path) -> AsyncIterator[list[Outcome]]:
    """A policy in a sandbox of its own that is asked all the while, and afterwards once more."""
    outcomes: list[Outcome] = []
    over = False

    async def keep_asking(session: Session) -> None:
        last = False
        while not last:
            last = over
            outcomes.append(await session.ask(Question.ACT, ACT))
            await asyncio.sleep(0.02)

    async with sandbox.run(directory, Limits(answer_s=PATIENT_S)) as session:
        asking = asyncio.create_task(keep_asking(session))
        try:
            yield outcomes
        finally:
            over = True
            await asking


async def last_outcome(session: Session) -> object:
    """Of a reset and two acts; an answer is decoded, as whoever asked would."""
    await session.ask(Question.RESET, RESET)
    await session.ask(Question.ACT, ACT)
    outcome = await session.ask(Question.ACT, ACT)
    if not isinstance(outcome, Answered):
        return outcome
    try:
        return decode_action(outcome.body, ARM_ACTION)
    except WireError as error:
        assert b'"continuous": [{' not in outcome.body, f"an attempt worked: {outcome.body!r}"
        return error


@pytest.mark.parametrize("attack", EXPECTED)
async def test_attack(
    attack: str, place: Place, sandbox: Sandbox, hostile: Repository, repository: Repository
) -> None:
    expected = (EXPECTED if isinstance(place, Kernel) else EXPECTED_IN_CONTAINERS)[attack]
    directory, neighbour = hostile(attack), repository(HONEST)
    async with honest_neighbour(sandbox, neighbour) as neighbours:
        before, containers = place.traces(directory), await place.containers()
        others = await place.processes(os.getpid())
        with ExitStack() as holding:
            async with sandbox.run(directory, limits_for(attack, expected)) as session:
                processes = await place.processes(os.getpid()) - others
                namespaces = holding.enter_context(held_namespaces(processes))
                assert namespaces or session.ended
                outcome = await last_outcome(session)
            assert inhabitants(namespaces) == frozenset()
        assert re.fullmatch(expected, repr(outcome), re.DOTALL), outcome
        assert place.traces(directory) == before
        assert await place.containers() == containers
    answers = {outcome.body for outcome in neighbours if isinstance(outcome, Answered)}
    assert len(answers) == 1, neighbours
    assert all(isinstance(outcome, Answered) for outcome in neighbours)
