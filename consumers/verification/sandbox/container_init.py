"""The first process of a container: runs a policy in it, and ends it. Runs alone, with a few files of ours beside it.

    this program      pid 1: cannot be killed, traced or looked into by the policy; its end is the container's
     └─ the policy    filtered by ours on top of the engine's filter, limited; executes `runner`

The container ends with the policy, when the policy's processes used too much processor time, when its time is over
whoever waits for it, and when standard input is closed: that the engine does when whoever asked is gone. Its exit
code tells why:

    0 ... 124     the policy exited so; above 124 it is 124, which leaves the others to this program alone
    125           the policy could not be run; standard error says why, and no policy has written to it
    126           nobody waits for it any more
    127           the policy was killed; 137 is this program's own death, which comes from outside the container
    128 + n       the policy was ended by signal n, or too slow (SIGXCPU)
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from types import FrameType
from typing import Any, NoReturn

from consumers.verification.sandbox import kernel, seccomp
from consumers.verification.sandbox.rlimits import limit_resources
from consumers.verification.sandbox.usage import usage_below

EXIT_MAX, FAILED, GIVEN_UP, POLICY_KILLED, SIGNALLED = 124, 125, 126, 127, 128
WATCH_EVERY_MS = 100
NICENESS = 5
ERROR_BYTES_MAX = 4096


def main() -> NoReturn:
    """`argv[1]`: {"limits": {..., "address_space_bytes", "alive_s"}, "command": [...], "environment": {...}}."""
    specification = json.loads(sys.argv[1])
    try:
        code = _supervise(specification)
    except (OSError, ValueError) as error:
        os.write(2, str(error).encode())
        code = FAILED
    os._exit(code)


def _supervise(specification: dict[str, Any]) -> int:
    limits = specification["limits"]
    over_s = time.monotonic() + limits["alive_s"]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kernel.hide_memory()
    ended = _wakes_at_child_end()
    policy = _started(specification)
    for descriptor in (1, 2):
        os.close(descriptor)
    poll = select.poll()
    poll.register(0, 0)  # a hang-up is told without being asked for
    poll.register(ended, select.POLLIN)
    while time.monotonic() < over_s:
        happened = dict(poll.poll(WATCH_EVERY_MS))
        if ended in happened:
            os.read(ended, 4096)
            if (code := _reaped(policy)) is not None:
                return code
        if 0 in happened:
            return GIVEN_UP
        if usage_below(os.getpid()).cpu_s > limits["cpu_s"]:
            return SIGNALLED + signal.SIGXCPU
    return GIVEN_UP


def _wakes_at_child_end() -> int:
    def nothing(_signal: int, _frame: FrameType | None) -> None:
        """The wake-up is what is wanted."""

    ended, end = os.pipe()
    os.set_blocking(end, False)
    signal.set_wakeup_fd(end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, nothing)
    return ended


def _started(specification: dict[str, Any]) -> int:
    """The policy's process, after it became the policy's.

    Raises:
        ValueError: it could not, says the child.
    """
    problem, tell = os.pipe()
    policy = os.fork()
    if policy == 0:
        _become_policy(specification, tell)
    os.close(tell)
    text = os.read(problem, ERROR_BYTES_MAX)  # closed by the execution
    os.close(problem)
    if text:
        raise ValueError(text.decode())
    return policy


def _become_policy(specification: dict[str, Any], tell: int) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.nice(NICENESS)
        limit_resources(specification["limits"], processes=False)
        kernel.filter_system_calls(seccomp.program(os.uname().machine))
        command: list[str] = specification["command"]
        os.execve(command[0], command, specification["environment"])  # noqa: S606  # no shell
    except (OSError, ValueError) as error:
        os.write(tell, str(error).encode() or b"!")
    finally:
        os._exit(FAILED)


def _reaped(policy: int) -> int | None:
    """What the container ends with, if the policy is among those that ended."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return None
        if pid == policy:
            return _code(status)


def _code(status: int) -> int:
    if not os.WIFSIGNALED(status):
        return min(os.WEXITSTATUS(status), EXIT_MAX)
    number = os.WTERMSIG(status)
    return POLICY_KILLED if number == signal.SIGKILL else SIGNALLED + number


if __name__ == "__main__":
    main()
