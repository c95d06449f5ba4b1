"""One policy in a kernel sandbox, from outside: asks, measures, and ends it."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from consumers.verification.sandbox.framing import Frame, FrameTooLarge, Kind, NotAFrame, framed, read_frame
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
from consumers.verification.sandbox.usage import Usage, usage_below

WATCH_EVERY_S = 0.05
LAST_WORDS_S, LAST_ERRORS_S = 3.0, 1.0
"""How long after the end of its answers a policy's process may take to end too, and what it printed to arrive."""
STDERR_CHUNK_BYTES, STDERR_TAIL_BYTES, STDERR_PAUSE_S = 16_384, 4_096, 0.01
"""Output is read at 1.6 MB/s at most: a policy that writes faster waits, and we do not."""
DETAIL_CHARS_MAX = 500


@dataclass(frozen=True, slots=True)
class Pipes:
    """Our ends."""

    questions: asyncio.StreamWriter
    answers: asyncio.StreamReader
    errors: asyncio.StreamReader
    status: asyncio.StreamReader


class KernelSession:
    """A `Session`; `opened` makes them."""

    def __init__(self, pipes: Pipes, process: asyncio.subprocess.Process, limits: Limits) -> None:
        self._pipes, self._process, self._limits = pipes, process, limits
        self._began_s = time.monotonic()
        self._number = 0
        self._ended: Ending | None = None
        self._init: asyncio.Future[int] = asyncio.get_running_loop().create_future()
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

    async def usage(self) -> Usage:
        """What the policy's processes use now."""
        return usage_below(await self._init)

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
        """Why the answers ended, in the words of the launcher."""
        try:
            async with asyncio.timeout(LAST_WORDS_S):
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

    def kill(self) -> None:
        """The launcher takes everything along, and ends when there is nothing left."""
        if self._process.returncode is None:
            self._process.terminate()

    async def follow_status(self) -> None:
        """What the launcher tells, until it has ended."""
        async for line in self._pipes.status:
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

    async def _policy_ended(self, crash: Crashed) -> None:
        if crash.signal == signal.SIGXCPU:
            self._end(TimedOut(Clock.CPU, self._limits.cpu_s))
            return
        try:
            async with asyncio.timeout(LAST_ERRORS_S):
                await self._silent.wait()
        except TimeoutError:
            pass  # more was written than is worth waiting for
        self._end(Crashed(crash.exit_code, crash.signal, _printable(self._stderr_tail)))

    async def follow_errors(self) -> None:
        """Keeps the end of what the policy prints, and lets it write no faster than is good for us."""
        while chunk := await self._pipes.errors.read(STDERR_CHUNK_BYTES):
            self._stderr_tail = (self._stderr_tail + chunk)[-STDERR_TAIL_BYTES:]
            await asyncio.sleep(STDERR_PAUSE_S)
        self._silent.set()

    async def watch(self) -> None:
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


@asynccontextmanager
async def followed(session: KernelSession) -> AsyncIterator[None]:
    """What has to go on beside the questions."""
    tasks = [asyncio.create_task(run) for run in (session.follow_status(), session.follow_errors(), session.watch())]
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
