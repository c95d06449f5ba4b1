"""A child that is a process of this machine: it dies with its parent, whatever the parent dies of."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sim.runtime.children import Child, Launched, LaunchFailed

LOG_BYTES_MAX = 10 * 2**20
_PR_SET_PDEATHSIG = 1


def die_with_parent(death_signal: signal.Signals = signal.SIGTERM) -> None:
    """Asks the kernel to send us this signal when our parent dies, however it dies. Linux only; elsewhere a no-op.

    A change of user clears it: a launcher that drops root calls this afterwards.
    """
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(death_signal)) != 0:
        raise OSError("prctl(PR_SET_PDEATHSIG) was refused")


class _Process:
    """A child process, as a `Launched`."""

    last_words = ""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process.returncode is None else None

    async def wait(self) -> int:
        return await self._process.wait()

    async def stop(self, number: signal.Signals, grace_s: float) -> bool:
        if self._process.returncode is not None:
            return True
        _signal(self._process, number)
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            _signal(self._process, signal.SIGKILL)
            await self._process.wait()
            return False
        return True


async def launch_process(child: Child) -> Launched:
    """Starts it.

    Raises:
        LaunchFailed: there is no such program, or the system has no room for it.
    """
    try:
        return _Process(await _spawn(child))
    except OSError as error:
        raise LaunchFailed(str(error)) from error


async def _spawn(child: Child) -> asyncio.subprocess.Process:
    # A session of its own keeps a terminal's Ctrl-C from the child: we stop children, in order.
    with contextlib.ExitStack() as stack:
        output = None if child.output is None else stack.enter_context(_open_log(child.output))
        return await asyncio.create_subprocess_exec(
            *child.argv,
            env=None if child.env is None else dict(child.env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            start_new_session=True,
            preexec_fn=functools.partial(_in_child, os.getpid(), child.death_signal or child.stop_signal),
        )


def _in_child(parent: int, death_signal: signal.Signals) -> None:
    die_with_parent(death_signal)
    if os.getppid() != parent:  # it died before the kernel was told to watch it
        os._exit(1)


@contextlib.contextmanager
def _open_log(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(path.suffix + ".1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
