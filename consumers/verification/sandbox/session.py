"""One policy in a sandbox, from outside: asks, measures, and ends it."""

from __future__ import annotations

import asyncio
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from consumers.verification.sandbox.framing import Frame, FramesIn, FrameTooLarge, Kind, NotAFrame, framed, read_frame
from consumers.verification.sandbox.protocol import (
    Answered,
    Clock,
    Crashed,
    Ending,
    Limits,
    Malformed,
    Outcome,
    OutOfMemory,
    Question,
    Raised,
    SandboxFailed,
    TimedOut,
    TooLarge,
)

LAST_ERRORS_S = 1.0
"""How long after the end of a policy's process what it printed may take to arrive."""
STDERR_CHUNK_BYTES, STDERR_TAIL_BYTES, STDERR_PAUSE_S = 16_384, 4_096, 0.01
"""Output is read at 1.6 MB/s at most: a policy that writes faster waits, and we do not."""
DETAIL_CHARS_MAX = 500


class Questions(Protocol):
    """Of `asyncio.StreamWriter`, what is needed here."""

    def write(self, data: bytes, /) -> None: ...

    async def drain(self) -> None:
        """Waits until more can be written.

        Raises:
            ConnectionError: nobody reads any more.
        """
        ...


class Errors(Protocol):
    """Of `asyncio.StreamReader`, what is needed here."""

    async def read(self, bytes_max: int, /) -> bytes:
        """Nothing at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Pipes:
    """Our ends."""

    questions: Questions
    answers: FramesIn
    errors: Errors


class PolicySession(ABC):
    """A `Session`, whatever the sandbox; each adds how it is ended, and how it hears that it has ended."""

    last_words_s: ClassVar[float]
    """How long after the end of its answers a policy's process may take to end too, and we to hear of it."""

    def __init__(self, pipes: Pipes, limits: Limits) -> None:
        self._pipes, self._limits = pipes, limits
        self._began_s = time.monotonic()
        self._number = 0
        self._ended: Ending | None = None
        self._over, self._silent = asyncio.Event(), asyncio.Event()
        self._stderr_tail = b""

    @property
    def ended(self) -> Ending | None:
        return self._ended

    async def ask(self, question: Question, body: bytes) -> Outcome:
        """As `Session.ask`."""
        if self._ended is None:
            self._number += 1
            self._pipes.questions.write(framed(question, self._number, body))
        return await self._outcome(Clock.ANSWER, self._limits.answer_s)

    async def start(self) -> None:
        """Waits until the policy is loaded, or has ended."""
        outcome = await self._outcome(Clock.START, self._limits.start_s)
        if isinstance(outcome, Raised):
            self._end(Crashed(1, None, outcome.error))

    async def _outcome(self, clock: Clock, limit_s: float) -> Outcome:
        if self._ended is not None:
            return self._ended
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(limit_s):
                await self._pipes.questions.drain()
                frame = await read_frame(self._pipes.answers, self._number, self._limits.answer_bytes)
        except TimeoutError:
            return self._end(TimedOut(clock, limit_s))
        except NotAFrame as error:
            return self._end(Malformed(str(error)))
        except FrameTooLarge as error:
            return self._end(TooLarge(self._limits.answer_bytes, error.announced_bytes))
        except (asyncio.IncompleteReadError, ConnectionError):
            return await self._last_words()
        except asyncio.CancelledError:
            self._end(SandboxFailed("a question was given up before it was answered"))
            raise
        return self._outcome_of(frame, time.monotonic() - began_s)

    def _outcome_of(self, frame: Frame, elapsed_s: float) -> Outcome:
        match frame.kind:
            case Kind.ANSWER:
                return Answered(frame.body, elapsed_s)
            case Kind.RAISED:
                return Raised(_printable(frame.body)[:DETAIL_CHARS_MAX])
            case Kind.OUT_OF_MEMORY:
                return self._end(OutOfMemory(self._limits.memory_bytes, None))

    async def _last_words(self) -> Ending:
        """Why the answers ended, in the words of whoever runs the policy."""
        try:
            async with asyncio.timeout(self.last_words_s):
                await self._over.wait()
        except TimeoutError:
            return self._end(Malformed("the policy closed the pipe of its answers"))
        assert self._ended is not None
        return self._ended

    def _end(self, ending: Ending) -> Ending:
        """The first ending stands."""
        if self._ended is None:
            self._ended = ending
            self._over.set()
            self.kill()
        return self._ended

    @abstractmethod
    def kill(self) -> None:
        """Begins to end every process of the policy."""

    @abstractmethod
    def followers(self) -> list[Coroutine[Any, Any, None]]:
        """What has to go on beside the questions, until it is cancelled."""

    async def _policy_ended(self, crash: Crashed) -> None:
        if crash.signal == signal.SIGXCPU:
            self._end(TimedOut(Clock.CPU, self._limits.cpu_s))
            return
        self._end(Crashed(crash.exit_code, crash.signal, await self._last_errors()))

    async def _last_errors(self) -> str:
        try:
            async with asyncio.timeout(LAST_ERRORS_S):
                await self._silent.wait()
        except TimeoutError:
            pass  # more was written than is worth waiting for
        return _printable(self._stderr_tail)

    async def follow_errors(self) -> None:
        """Keeps the end of what the policy prints, and lets it write no faster than is good for us."""
        while chunk := await self._pipes.errors.read(STDERR_CHUNK_BYTES):
            self._stderr_tail = (self._stderr_tail + chunk)[-STDERR_TAIL_BYTES:]
            await asyncio.sleep(STDERR_PAUSE_S)
        self._silent.set()


@asynccontextmanager
async def followed(session: PolicySession) -> AsyncIterator[None]:
    """Runs its followers."""
    tasks = [asyncio.create_task(run) for run in session.followers()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


def _printable(text: bytes) -> str:
    decoded = text.decode(errors="replace")
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in decoded)
