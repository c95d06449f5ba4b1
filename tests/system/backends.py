"""A backend as an operator has it: the real command, in a process of its own, on a home of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from api.commands import ApiOptions
from consumers.commands import ExecutorOptions
from events.cli import environment
from tests.eventually import eventually
from tests.fixtures.http import Api
from tests.fixtures.ports import free_port
from tests.system import processes
from tests.system.cycles import Subnet

ROOT = Path(__file__).parents[2]
WORKERS, EPISODES_IN_FLIGHT = 2, 4
SLOTS = WORKERS * EPISODES_IN_FLIGHT
GONE_S = 60.0
"""How soon after the death of their parent all must be gone."""


def kinitro(*arguments: str) -> tuple[str, ...]:
    """The command line of this checkout's `kinitro`, whichever one is installed."""
    return (sys.executable, str(ROOT / "kinitro.py"), *arguments)


@contextmanager
def new_home() -> Iterator[Path]:
    """A directory that goes away, with whatever still runs in it."""
    with TemporaryDirectory(prefix="kinitro-", ignore_cleanup_errors=True) as name:
        home = Path(name).resolve()
        try:
            yield home
        finally:
            for process in processes.of_home(home):
                process.kill()


class Command:
    """`kinitro ARGUMENTS`, started as from a terminal: the first of its process group."""

    def __init__(self, process: asyncio.subprocess.Process, home: Path, output: Path) -> None:
        self.process, self.home, self._output = process, home, output

    @property
    def output(self) -> str:
        return self._output.read_text()

    async def says(self, words: str) -> None:
        """Returns once its output has these words; fails when it ends before."""

        def said() -> bool:
            assert words in self.output or self.process.returncode is None, self.output
            return words in self.output

        await eventually(said, 60)

    def kill(self) -> None:
        """Kills it alone, as a crash would."""
        self.process.kill()

    def interrupt(self) -> None:
        """Ctrl-C: SIGINT to the whole process group of the terminal."""
        os.killpg(self.process.pid, signal.SIGINT)

    async def status(self) -> int:
        """Its exit status, once it has ended by itself or been interrupted."""
        return await self.process.wait()

    async def stop(self) -> None:
        """Ctrl-C, after which it must end cleanly and leave nothing."""
        self.interrupt()
        status = await self.status()
        assert status in (0, 130), f"exit status {status}:\n{self.output}"
        assert "Traceback" not in self.output, self.output
        assert processes.of_home(self.home) == []


@asynccontextmanager
async def command(home: Path, *arguments: str, **variables: str) -> AsyncIterator[Command]:
    """Runs the command; whoever is left at the end is killed."""
    output = home.with_name(f"{home.name}.output")
    with output.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *kinitro(*arguments),
            env=os.environ | {"KINITRO_HOME": str(home)} | variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            cwd=home,
        )
    try:
        yield Command(process, home, output)
    except BaseException:
        print(output.read_text()[-20_000:])
        raise
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await gone(processes.of_home(home))
        output.unlink(missing_ok=True)


async def run_to_end(home: Path, *arguments: str) -> None:
    """Runs a command that ends by itself, beside whatever runs on this home; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *kinitro(*arguments),
        env=os.environ | {"KINITRO_HOME": str(home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


async def gone(group: list[processes.Process]) -> None:
    """Returns once none of these processes is alive; fails when that takes too long."""
    try:
        await eventually(lambda: not any(process.alive for process in group), GONE_S)
    except AssertionError:
        left = [process for process in group if process.alive]
        raise AssertionError(f"still alive after {GONE_S} s: {left}") from None


@asynccontextmanager
async def backend(
    home: Path, subnet: Subnet, port: int | None = None, **more: str
) -> AsyncIterator[tuple[Command, Api]]:
    """`kinitro backend`, and its API, which need not be up yet. `more`: environment variables."""
    address = ApiOptions(host="127.0.0.1", port=port or free_port())
    executor = ExecutorOptions(workers=WORKERS, episodes_in_flight=EPISODES_IN_FLIGHT, allow_private_endpoints=True)
    variables = environment(subnet.network, subnet.cycles, subnet.verification, address, executor) | more
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        command(home, "backend", **variables) as running,
    ):
        yield running, Api(f"http://127.0.0.1:{address.port}", session)
