"""A sandbox ends with whoever uses it, and is not had where the kernel refuses it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from consumers.verification.sandbox import seccomp
from consumers.verification.sandbox.protocol import Limits, Question, Sandbox, SandboxFailed
from tests.consumers.verification.conftest import ACT, RESET, Repository
from tests.consumers.verification.leftovers import descendants, inhabitants, pid_namespaces
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
from consumers.verification.sandbox.namespaces import Namespaces
from consumers.verification.sandbox.protocol import Limits

async def main():
    async with Namespaces().run(Path(sys.argv[1]), Limits()) as session:
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
    sandbox: Sandbox, repository: Repository, number: signal.Signals
) -> None:
    async with program(USER, str(repository(SLEEPER))) as user:
        assert await line_of(user) == "None\n"
        namespaces = pid_namespaces(descendants(user.pid))
        user.send_signal(number)
        await user.wait()
        await eventually(lambda: not inhabitants(namespaces))
    assert namespaces


async def test_a_cancelled_session_leaves_nothing(sandbox: Sandbox, repository: Repository) -> None:
    before = descendants(os.getpid())

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
    assert descendants(os.getpid()) == before


async def test_a_start_that_is_cancelled_leaves_nothing(sandbox: Sandbox, repository: Repository) -> None:
    before = descendants(os.getpid())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5), sandbox.run(repository("import time; time.sleep(3600)"), Limits()):
            pass
    assert descendants(os.getpid()) == before


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
