"""A sandbox ends with whoever uses it, and is not had where the kernel refuses it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from consumers.verification.sandbox import seccomp
from consumers.verification.sandbox.protocol import Limits, Question, Sandbox, SandboxFailed
from tests.consumers.verification.conftest import ACT, RESET, Place, Repository
from tests.consumers.verification.leftovers import held_namespaces, inhabitants
from tests.eventually import eventually

ROOT = Path(__file__).parents[3]

SLEEPER = """
import time
class Policy:
    def reset(self, task_config): time.sleep(3600)
def make_policy(): return Policy()
"""

USER = """
import asyncio, sys
from pathlib import Path
from consumers.verification.sandbox.protocol import Limits

async def main():
    async with sandbox.run(Path(sys.argv[1]), Limits()) as session:
        print(session.ended, flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""

REFUSED = """
import asyncio, os
from consumers.verification.sandbox import kernel, seccomp
from consumers.verification.sandbox.namespaces import probe

kernel.renounce_capabilities()
kernel.filter_system_calls(seccomp.program(os.uname().machine))
print(asyncio.run(probe()))
"""


@asynccontextmanager
async def program(source: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own, which is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", source, *arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 60)).decode()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_sandbox_ends_with_the_process_that_uses_it(
    place: Place, sandbox: Sandbox, repository: Repository, number: signal.Signals
) -> None:
    containers = await place.containers()
    async with program(place.source() + USER, str(repository(SLEEPER))) as user:
        assert await line_of(user) == "None\n"
        with held_namespaces(await place.processes(user.pid)) as namespaces:
            user.send_signal(number)
            await user.wait()
            await eventually(lambda: not inhabitants(namespaces))
        await eventually(lambda: gone(place, containers))
    assert namespaces


async def gone(place: Place, containers: frozenset[str]) -> bool:
    return await place.containers() == containers


async def test_a_cancelled_session_leaves_nothing(place: Place, sandbox: Sandbox, repository: Repository) -> None:
    nothing = repository("")
    before, containers = place.traces(nothing), await place.containers()

    async def use() -> None:
        async with sandbox.run(repository(SLEEPER), Limits()) as session:
            ready.set()
            await session.ask(Question.RESET, RESET)

    ready = asyncio.Event()
    task = asyncio.create_task(use())
    await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert place.traces(nothing) == before
    assert await place.containers() == containers


async def test_a_start_that_is_cancelled_leaves_nothing(
    place: Place, sandbox: Sandbox, repository: Repository
) -> None:
    nothing = repository("")
    before, containers = place.traces(nothing), await place.containers()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5), sandbox.run(repository("import time; time.sleep(3600)"), Limits()):
            pass
    assert place.traces(nothing) == before
    assert await place.containers() == containers


async def test_a_question_given_up_is_not_held_against_the_policy(sandbox: Sandbox, repository: Repository) -> None:
    async with sandbox.run(repository(SLEEPER), Limits()) as session:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.ask(Question.RESET, RESET), 0.1)
        assert isinstance(await session.ask(Question.ACT, ACT), SandboxFailed)


async def test_where_the_kernel_refuses_there_is_no_sandbox() -> None:
    async with program(REFUSED) as process:
        told = await line_of(process)
    assert told.startswith("NoSandbox(reason='a sandbox could not be built here")
    assert "unshare(0x10000000): Operation not permitted" in told


def test_the_filter_refuses_machines_whose_numbers_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="expected one of x86_64, aarch64, got 'riscv64'"):
        seccomp.program("riscv64")
