"""One role of the backend as a process that a test holds in its hand: it dies when told, and comes back by itself."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from sim.runtime.processes import die_with_parent
from tests.eventually import eventually

PAUSE_S = 0.2
"""How soon after its end a role is started again; a second for what ends at once, again and again."""
STARTED_S = 60.0
STOPPED_S = 90.0
"""A worker's grace period, and time to hand back what it has."""
LINES_TOLD = 60

log = structlog.get_logger(__name__)


class Role:
    """A command that is started again whenever it ends, as systemd or an orchestrator would; see `kept`."""

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], output: Path) -> None:
        """`env` is added to ours."""
        self.name = name
        self.starts = 0
        self.argv, self.env = tuple(argv), dict(env)
        """May be changed while it is down."""
        self._output = output
        self._process: asyncio.subprocess.Process | None = None
        self._wanted = asyncio.Event()
        self._wanted.set()

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    def send(self, number: signal.Signals) -> None:
        """One signal, to the process that runs now; none if it does not run."""
        if (pid := self.pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """As a crash would. It comes back by itself."""
        self.send(signal.SIGKILL)

    async def killed(self) -> None:
        """As a crash would; it is dead then, and comes back by itself."""
        pid = await self.running()
        self.kill()
        await eventually(lambda: self.pid != pid, STARTED_S)

    async def running(self) -> int:
        """The process id, once it runs."""
        await eventually(lambda: self.pid is not None, STARTED_S)
        assert self.pid is not None
        return self.pid

    async def replaced(self, pid: int | None) -> None:
        """Returns once another process than this one runs."""
        await eventually(lambda: self.pid not in (None, pid), STARTED_S)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Ends it with this signal, and keeps it down until `start`; its exit status."""
        self._wanted.clear()
        self.send(number)
        if self._process is None:
            return None
        async with asyncio.timeout(STOPPED_S):
            return await self._process.wait()

    def start(self) -> None:
        self._wanted.set()

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        """Killed, and kept down for as long as this is open."""
        await self.stop(signal.SIGKILL)
        try:
            yield
        finally:
            self.start()

    @asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        """Stopped in its tracks (SIGSTOP) for as long as this is open, and then continued, if it still lives."""
        pid = await self.running()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    @property
    def output(self) -> str:
        """Of all its lives."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def lines(self) -> Iterator[dict[str, object]]:
        """What it has logged, line by line; what is no JSON is left out, as a line that a kill has cut off."""
        for line in self.output.splitlines():
            with suppress(ValueError):
                told = json.loads(line)
                if isinstance(told, dict):
                    yield told

    async def says(self, words: str, timeout_s: float = STARTED_S) -> None:
        """Returns once its output has these words."""
        try:
            await eventually(lambda: words in self.output, timeout_s)
        except AssertionError:
            raise AssertionError(f"{self.name} has not said {words!r}:\n{self.end_of_output}") from None

    @property
    def end_of_output(self) -> str:
        return "\n".join(self.output.splitlines()[-LINES_TOLD:])

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """It runs, but for `down` and `stop`, for as long as this is open."""
        keeper = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            self.kill()
            if self._process is not None:
                await self._process.wait()

    async def _keep(self) -> None:
        while True:
            await self._wanted.wait()
            started = asyncio.get_running_loop().time()
            with self._output.open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    *self.argv,
                    env=os.environ | self.env,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=functools.partial(die_with_parent, signal.SIGKILL),  # our only thread
                )
            self.starts += 1
            status = await self._process.wait()
            lasted_s = asyncio.get_running_loop().time() - started
            log.info("role ended", role=self.name, status=status, lasted_s=round(lasted_s, 1))
            await asyncio.sleep(PAUSE_S if lasted_s > 1 else 1.0)
