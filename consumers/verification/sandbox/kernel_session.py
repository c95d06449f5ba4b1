"""One policy in a kernel sandbox: told by its launcher, watched by `/proc`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine
from typing import Any

from consumers.verification.sandbox.protocol import Clock, Crashed, Limits, OutOfMemory, SandboxFailed, TimedOut
from consumers.verification.sandbox.session import Pipes, PolicySession
from consumers.verification.sandbox.usage import Usage, usage_below

WATCH_EVERY_S = 0.05


class KernelSession(PolicySession):
    """`process`: the launcher, `status`: what it tells."""

    last_words_s = 3.0

    def __init__(
        self, pipes: Pipes, status: asyncio.StreamReader, process: asyncio.subprocess.Process, limits: Limits
    ) -> None:
        super().__init__(pipes, limits)
        self._status, self._process = status, process
        self._init: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def usage(self) -> Usage:
        """What the policy's processes use now."""
        return usage_below(await self._init)

    def kill(self) -> None:
        """The launcher takes everything along, and ends when there is nothing left."""
        if self._process.returncode is None:
            self._process.terminate()

    def followers(self) -> list[Coroutine[Any, Any, None]]:
        return [self._follow_status(), self.follow_errors(), self._watch()]

    async def _follow_status(self) -> None:
        """What the launcher tells, until it has ended."""
        async for line in self._status:
            match json.loads(line):
                case {"init": int(pid)}:
                    self._init.set_result(pid)
                case {"failed": str(reason)}:
                    self._end(SandboxFailed(reason))
                case {"exit": int(code)}:
                    await self._policy_ended(Crashed(code, None, ""))
                case {"signal": int(number)}:
                    await self._policy_ended(Crashed(None, number, ""))
        self._end(SandboxFailed("the launcher ended without a word; is the machine out of memory?"))

    async def _watch(self) -> None:
        """Ends the policy when all its processes together use too much."""
        limits = self._limits
        while self._ended is None:
            try:
                usage = await self.usage()
            except OSError as error:
                self._end(SandboxFailed(f"what the policy uses cannot be seen: {error}"))
                return
            if usage.resident_bytes > limits.memory_bytes:
                self._end(OutOfMemory(limits.memory_bytes, usage.resident_bytes))
            elif usage.cpu_s > limits.cpu_s:
                self._end(TimedOut(Clock.CPU, limits.cpu_s))
            elif time.monotonic() - self._began_s > limits.total_s:
                self._end(TimedOut(Clock.TOTAL, limits.total_s))
            await asyncio.sleep(WATCH_EVERY_S)
