"""A sandbox for policies: what it promises, its limits, and everything that a question to a policy can end with.

    async with sandbox.run(code_dir, Limits()) as session:
        match await session.ask(Question.ACT, body):
            case Answered(answer): ...
            case Raised(): ...        the policy's exception; the session goes on
            case ended: ...           an `Ending`; every later question has the same one

Outcomes are values: only our own mistakes are exceptions. `SandboxFailed` alone is our own failure; every other
ending is what the policy did.

Outcome
 ├─ Answered           bytes, not yet looked at
 ├─ Raised             the policy raised an exception
 └─ Ending
     ├─ Crashed        the process ended, by an exit or by a signal
     ├─ TimedOut       too slow: to start, to answer, altogether, or in processor time
     ├─ OutOfMemory    more memory than allowed
     ├─ TooLarge       an answer longer than allowed
     ├─ Malformed      bytes where an answer was expected that are no answer
     └─ SandboxFailed  we could not run it; says nothing about the policy
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Limits:
    """What a policy may use. Memory and processor time are those of all its processes together."""

    start_s: float = 60.0
    """To import the policy and to call `make_policy`."""
    answer_s: float = 10.0
    total_s: float = 300.0
    cpu_s: float = 300.0
    memory_bytes: int = 4 << 30
    """Resident, file pages included."""
    scratch_bytes: int = 64 << 20
    """In files of the scratch directory; comes on top of the memory."""
    processes: int = 64
    """Threads count."""
    open_files: int = 128
    """Of each process."""
    answer_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)!r}")


class Question(IntEnum):
    """What a policy can be asked, each with the body that a policy server gets by HTTP."""

    RESET = 1
    """`{"task_config": {...}}`, answered with `{"status": "ok"}`, and `"seeded": true` of a policy that states it."""
    ACT = 2
    """`{"obs": {...}}`, answered with `{"action": {...}}`."""


class Clock(StrEnum):
    """Which limit a policy exceeded."""

    START = "start"
    ANSWER = "answer"
    TOTAL = "total"
    CPU = "cpu"


@dataclass(frozen=True, slots=True)
class Answered:
    """`body` has the form of a policy server's, if the policy is honest: whoever decodes it has to judge."""

    body: bytes
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Raised:
    """`error` is what the sandboxed process says of its exception: at most 500 printable characters."""

    error: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """Exactly one of `exit_code` and `signal` is not None. `stderr_tail`: printable, hostile, and bounded."""

    exit_code: int | None
    signal: int | None
    stderr_tail: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    clock: Clock
    limit_s: float


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """`used_bytes` is None where an allocation was refused instead."""

    limit_bytes: int
    used_bytes: int | None


@dataclass(frozen=True, slots=True)
class TooLarge:
    limit_bytes: int
    announced_bytes: int


@dataclass(frozen=True, slots=True)
class Malformed:
    reason: str


@dataclass(frozen=True, slots=True)
class SandboxFailed:
    reason: str


Ending = Crashed | TimedOut | OutOfMemory | TooLarge | Malformed | SandboxFailed
Outcome = Answered | Raised | Ending


@dataclass(frozen=True, slots=True)
class NoSandbox:
    """Hostile code cannot be run here. `reason` says why, and what to change."""

    reason: str


class UnreadablePolicy(ValueError):
    """A file of the policy could not be read by the user who runs it: our mistake, not the miner's."""


class Session(Protocol):
    """One policy, loaded once. Questions are asked one after the other."""

    @property
    def ended(self) -> Ending | None: ...

    async def ask(self, question: Question, body: bytes) -> Outcome:
        """Never raises for what the policy does, and never takes longer than the limits."""
        ...


class Sandbox(Protocol):
    """A way to run hostile code. Nothing of it is left behind when the context ends, however it ends."""

    @property
    def name(self) -> str:
        """What it is made of, in a word; events have it."""
        ...

    def run(self, code_dir: Path, limits: Limits) -> AbstractAsyncContextManager[Session]:
        """Loads the policy in `code_dir` (see `runner`), which is never written to.

        The context is entered when the policy is ready, or has ended already: `session.ended` then says how.

        Raises:
            UnreadablePolicy: where the policy runs under another user than ours, as it does when we are root.
        """
        ...
