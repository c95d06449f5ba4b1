"""What a supervisor keeps running: how one child is started, and what there is of it while it runs."""

from __future__ import annotations

import enum
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from events.for_people import ForPeople

REFUSED = 2
"""The exit status of a command that was given something it cannot work with."""
NOT_EXECUTABLE = (126, 127)
"""What launchers, shells and init processes say of a program that is not there."""


class LaunchFailed(ForPeople):
    """A child could not be started. At its first start nothing is tried again; later it counts as a death."""


class Launched(Protocol):
    """One run of a child, from its start to its end."""

    @property
    def pid(self) -> int | None:
        """None once it has ended, and where it has none that would mean anything here."""
        ...

    @property
    def last_words(self) -> str:
        """What it said last, where nobody else has heard it; for the message of a refusal."""
        ...

    async def wait(self) -> int:
        """Its exit status, when it has ended."""
        ...

    async def stop(self, number: signal.Signals, grace_s: float) -> bool:
        """Returns when it has ended: by the signal, or after the grace by force (False)."""
        ...


class Restart(enum.Enum):
    """What to do when a child ends by itself."""

    ALWAYS = enum.auto()
    ON_FAILURE = enum.auto()
    """Status 0 means that its work is done."""


@dataclass(frozen=True, slots=True)
class Child:
    """How to run one child process."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    """Its whole environment; None for ours."""
    ready: Callable[[], Awaitable[None]] | None = None
    """Returns once the child can be used; has a time-out of its own."""
    restart: Restart = Restart.ALWAYS
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 15.0
    death_signal: signal.Signals | None = None
    """What the kernel sends it when we die, however we die; None for `stop_signal`. SIGKILL suits whoever can take it
    at any moment: a clean end might wait for a server that died with us, and nobody would put an end to the wait."""
    output: Path | None = None
    """File that gets what it prints; None for where ours goes."""
    launch: Callable[[Child], Awaitable[Launched]] | None = None
    """Starts it, or raises `LaunchFailed`; None for a process."""
