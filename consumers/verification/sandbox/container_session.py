"""One policy in a container: told by the engine's events, limited by the engine and by `container_init`."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from consumers.verification.sandbox import container_init
from consumers.verification.sandbox.container_init import POLICY_KILLED, SIGNALLED
from consumers.verification.sandbox.protocol import Clock, Crashed, Limits, OutOfMemory, SandboxFailed, TimedOut
from consumers.verification.sandbox.session import Pipes, PolicySession

LATE_EVENT_S = 2.0
"""How long after the end of a killed container the engine may take to say that it had no memory left."""

Event = dict[str, Any]


class ContainerSession(PolicySession):
    """`next_event`: of this container, from the engine; None when the engine tells no more."""

    last_words_s = 10.0

    def __init__(
        self,
        pipes: Pipes,
        next_event: Callable[[], Awaitable[Event | None]],
        kill: Callable[[], None],
        limits: Limits,
    ) -> None:
        super().__init__(pipes, limits)
        self._next_event, self._kill = next_event, kill

    def kill(self) -> None:
        """The engine kills the first process, and the kernel all others with it."""
        self._kill()

    def followers(self) -> list[Coroutine[Any, Any, None]]:
        return [self._follow_events(), self.follow_errors(), self._watch_total()]

    async def _follow_events(self) -> None:
        while event := await self._next_event():
            match event:
                case {"Action": "oom"}:
                    self._end(OutOfMemory(self._limits.memory_bytes, None))
                case {"Action": "die", "Actor": {"Attributes": {"exitCode": code}}}:
                    await self._container_ended(int(code))
        self._end(SandboxFailed("the engine told no more of the container: did it stop, or restart?"))

    async def _container_ended(self, code: int) -> None:
        killed = SIGNALLED + signal.SIGKILL
        if code in {POLICY_KILLED, killed} and await self._was_out_of_memory():
            self._end(OutOfMemory(self._limits.memory_bytes, None))
            return
        match code:
            case container_init.FAILED:
                self._end(SandboxFailed(await self._last_errors()))
            case container_init.GIVEN_UP:
                self._end(SandboxFailed("the engine closed the streams of the container"))
            case container_init.POLICY_KILLED:
                await self._policy_ended(Crashed(None, signal.SIGKILL, ""))
            case _ if code == killed:
                self._end(SandboxFailed("the container was killed from outside: did the engine stop?"))
            case _ if code > SIGNALLED:
                await self._policy_ended(Crashed(None, code - SIGNALLED, ""))
            case _:
                await self._policy_ended(Crashed(code, None, ""))

    async def _was_out_of_memory(self) -> bool:
        """The engine's events of an end and of its cause come by different ways."""
        try:
            async with asyncio.timeout(LATE_EVENT_S):
                while event := await self._next_event():
                    if event.get("Action") == "oom":
                        return True
        except TimeoutError:
            pass
        return False

    async def _watch_total(self) -> None:
        await asyncio.sleep(max(0.0, self._began_s + self._limits.total_s - time.monotonic()))
        self._end(TimedOut(Clock.TOTAL, self._limits.total_s))
