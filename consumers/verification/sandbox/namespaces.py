"""A sandbox of the Linux kernel's own parts, for root and for users who may make user namespaces; no engine needed.

What keeps the policy in:

    network            a network namespace without interfaces; sockets other than AF_UNIX are refused
    files              a root of its own, read-only: the interpreter, numpy, the policy; a small scratch directory
    processes          a pid namespace that ends as one, and with whoever started it
    privileges         nobody, no capabilities, no new privileges, a filter of system calls (`seccomp`)
    environment        nothing of ours; no terminal, no open file but the pipes
    resources          rlimits for each process; memory and processor time watched over all of them

Memory is watched every 50 ms, so that many processes together may exceed it for a moment; the address space of each
is limited too, and the kernel, should it run out, looks for memory here first.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from consumers.verification.sandbox.interpreter import view_of
from consumers.verification.sandbox.kernel_session import KernelSession
from consumers.verification.sandbox.policy_files import check_readable, write_probe
from consumers.verification.sandbox.protocol import Answered, Limits, NoSandbox, Question, Sandbox, SandboxFailed
from consumers.verification.sandbox.session import Pipes, followed
from consumers.verification.sandbox.usage import CHILDREN

START_LAUNCHER = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from consumers.verification.sandbox.launcher import main
main()
"""
OUR_ROOT = Path(__file__).resolve().parents[3]
ADDRESS_SPACE_BEYOND_MEMORY_BYTES = 1 << 30
"""Address space that is reserved and never used: of libraries, of allocators, of threads."""
PIPE_BYTES = 65_536
STAGE = os.path.realpath(tempfile.gettempdir())
"""Where the new root is first mounted, seen by nobody else. Any directory will do."""
ENDING_S = 10.0
"""How long the kernel may take to end a tree of processes that was killed."""


class Namespaces:
    """A `Sandbox`. `probe` says whether it works here."""

    name = "namespaces"

    def __init__(self, extra_packages: Sequence[Path] = ()) -> None:
        """`extra_packages`: directories of packages that policies may import, besides numpy."""
        self._extra_packages = tuple(extra_packages)

    @asynccontextmanager
    async def run(self, code_dir: Path, limits: Limits) -> AsyncIterator[KernelSession]:
        """As `Sandbox.run`.

        Raises:
            UnreadablePolicy: as root, files that others may not read cannot be shown to the policy.
        """
        if os.geteuid() == 0:
            await asyncio.to_thread(check_readable, code_dir)
        status, status_fd = os.pipe()
        try:
            process = await self._launched(code_dir, limits, status_fd)
        except BaseException:
            os.close(status)
            raise
        finally:
            os.close(status_fd)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        async with _reader(status) as told, _ended(process):
            pipes = Pipes(process.stdin, process.stdout, process.stderr)
            session = KernelSession(pipes, told, process, limits)
            async with followed(session):
                await session.start()
                yield session

    async def _launched(self, code_dir: Path, limits: Limits, status_fd: int) -> asyncio.subprocess.Process:
        specification = {
            **asdict(view_of(code_dir, self._extra_packages)),
            "status_fd": status_fd,
            "stage": STAGE,
            "limits": {
                **asdict(limits),
                "address_space_bytes": limits.memory_bytes + ADDRESS_SPACE_BEYOND_MEMORY_BYTES,
            },
        }
        return await asyncio.create_subprocess_exec(
            getattr(sys, "_base_executable", sys.executable),
            *("-I", "-S", "-B", "-c", START_LAUNCHER),
            *(str(OUR_ROOT), json.dumps(specification)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=[status_fd],
            env={},
            start_new_session=True,
        )


async def probe(extra_packages: Sequence[Path] = ()) -> Sandbox | NoSandbox:
    """Runs a policy of ours; only what works here is a sandbox."""
    if sys.platform != "linux":
        return NoSandbox(f"kernel sandboxes need Linux, and this is {sys.platform}: run the verification on Linux")
    if not await asyncio.to_thread(CHILDREN.exists):
        return NoSandbox(f"memory cannot be watched: {CHILDREN} is missing (CONFIG_PROC_CHILDREN of the kernel)")
    sandbox = Namespaces(extra_packages)
    with tempfile.TemporaryDirectory() as directory:
        write_probe(Path(directory))
        async with sandbox.run(Path(directory), Limits()) as session:
            outcome = await session.ask(Question.RESET, b'{"task_config":{}}')
            watched = isinstance(outcome, Answered) and (await session.usage()).processes > 0
    match outcome:
        case Answered() if watched:
            return sandbox
        case Answered():
            return NoSandbox("memory cannot be watched: /proc hides other users' processes; mount it without hidepid")
        case SandboxFailed(reason):
            advice = (
                "root needs CAP_SYS_ADMIN; other users need user namespaces: sysctl user.max_user_namespaces above 0,"
                " and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0"
            )
            return NoSandbox(f"a sandbox could not be built here ({advice}): {reason}")
        case _:
            return NoSandbox(f"a harmless policy failed in the sandbox: {outcome}")


@asynccontextmanager
async def _reader(descriptor: int) -> AsyncIterator[asyncio.StreamReader]:
    """Reads a pipe, and closes it in the end."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    try:
        yield reader
    finally:
        transport.close()


@asynccontextmanager
async def _ended(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """In the end the launcher has ended, and everything below it before."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(_gone(process), ENDING_S)
        except TimeoutError:
            process.kill()
            await asyncio.wait_for(_gone(process), ENDING_S)


async def _gone(process: asyncio.subprocess.Process) -> None:
    """What is still in the pipes has to be read for them to be closed; nobody writes any more."""
    assert process.stdin is not None
    process.stdin.close()
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        while await pipe.read(PIPE_BYTES):
            pass
    await process.wait()
