"""A sandbox of a Docker engine: each policy in a container of its own, in the same files as in the kernel sandbox.

The image is empty: everything in a container is this machine's own, bound read-only (`interpreter`), so that a policy
meets the same interpreter and the same numpy in either sandbox, and nothing has to be kept up to date. The engine
must see the paths that we see. See `container` for what keeps the policy in, and `container_init` for what ends it.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiodocker import Docker
from aiodocker.exceptions import DockerError

from consumers.verification.sandbox.attached import attached
from consumers.verification.sandbox.container import configuration
from consumers.verification.sandbox.container_session import ContainerSession, Event
from consumers.verification.sandbox.interpreter import view_of
from consumers.verification.sandbox.owners import LABEL, VERSION, labels_of, ourselves
from consumers.verification.sandbox.policy_files import check_readable, write_probe
from consumers.verification.sandbox.protocol import (
    Answered,
    Limits,
    NoSandbox,
    Outcome,
    Question,
    Sandbox,
    SandboxFailed,
    Session,
)
from consumers.verification.sandbox.removal import Removal, remove_orphans
from consumers.verification.sandbox.session import Pipes, followed
from sim.runtime.docker import NOT_FOUND, TROUBLES, engine_at, told

IMAGE = f"kinitro-sandbox:{VERSION}"
IMAGE_COMMAND = f"tar -cf - -T /dev/null | docker import --change 'LABEL {LABEL}={VERSION}' - {IMAGE}"
START_S = 60.0
"""How long the engine may take to start a container."""
NEEDED = {
    "MemoryLimit": "memory",
    "SwapLimit": "memory and swap together",
    "PidsLimit": "the number of processes",
    "CpuCfsQuota": "the processors",
}
"""Field of the engine's `/info` -> what it cannot limit without; an engine ignores such limits silently."""


@dataclass(frozen=True, slots=True)
class NeverStarted:
    """A `Session` of a container that could not be had."""

    ended: SandboxFailed

    async def ask(self, _question: Question, _body: bytes) -> Outcome:
        return self.ended


class DockerSandbox:
    """A `Sandbox`. `probe_docker` makes it, and says whether it works here."""

    name = "docker"

    def __init__(self, engine: str, image: str, extra_packages: Sequence[Path] = ()) -> None:
        """`engine`: URL; `image`: digest; `extra_packages`: as for the kernel sandbox."""
        self._engine, self._image, self._extra_packages = engine, image, tuple(extra_packages)
        self._labels = labels_of(ourselves())

    @asynccontextmanager
    async def run(self, code_dir: Path, limits: Limits) -> AsyncIterator[Session]:
        """As `Sandbox.run`."""
        await asyncio.to_thread(check_readable, code_dir)
        async with AsyncExitStack() as stack:
            session: Session
            try:
                session = await stack.enter_async_context(self._started(code_dir, limits))
            except TROUBLES as error:
                session = NeverStarted(SandboxFailed(f"the Docker engine at {self._engine}: {told(error)}"))
            yield session

    @asynccontextmanager
    async def _started(self, code_dir: Path, limits: Limits) -> AsyncIterator[ContainerSession]:
        """Raises one of TROUBLES."""
        view = view_of(code_dir, self._extra_packages)
        wanted = configuration(self._image, view, limits, self._labels)
        async with AsyncExitStack() as stack, asyncio.timeout(START_S) as clock:
            engine = await stack.enter_async_context(engine_at(self._engine))
            name = f"kinitro-sandbox-{uuid.uuid4().hex}"
            creation = asyncio.create_task(engine.containers.create(wanted, name=name))
            removal = Removal(engine, name, creation)
            stack.push_async_callback(removal.done)
            container = await asyncio.shield(creation)
            next_event = await stack.enter_async_context(_events(engine, name))
            pipe = await stack.enter_async_context(attached(container, errors=False))
            errors = await stack.enter_async_context(attached(container, errors=True))
            await container.start()
            clock.reschedule(None)
            session = ContainerSession(Pipes(pipe, pipe, errors), next_event, removal.begin, limits)
            async with followed(session):
                await session.start()
                yield session


async def probe_docker(engine: str, extra_packages: Sequence[Path] = ()) -> Sandbox | NoSandbox:
    """Runs a policy of ours in a container; only what works here is a sandbox.

    Containers that verifiers of this machine left when they were killed are removed first.
    """
    try:
        async with asyncio.timeout(START_S), engine_at(engine) as docker:
            information = await docker.system.info()
            image = await _image(docker)
            await remove_orphans(docker)
    except (*TROUBLES, ValueError) as error:
        return NoSandbox(
            f"no Docker engine could be used at {engine} (start one, give its address, or let this user at its"
            f" socket, as members of the group docker are): {told(error)}"
        )
    unlimited = [what for field, what in NEEDED.items() if not information.get(field)]
    if unlimited:
        return NoSandbox(f"the Docker engine at {engine} cannot limit {', '.join(unlimited)}: it needs those cgroups")
    if image is None:
        return NoSandbox(
            f"the Docker engine at {engine} has no image {IMAGE} with the label {LABEL}={VERSION}: {IMAGE_COMMAND}"
        )
    return await _that_works(DockerSandbox(engine, image, extra_packages))


async def _that_works(sandbox: DockerSandbox) -> Sandbox | NoSandbox:
    with tempfile.TemporaryDirectory() as directory:
        write_probe(Path(directory))
        async with sandbox.run(Path(directory), Limits()) as session:
            outcome = await session.ask(Question.RESET, b'{"task_config":{}}')
    match outcome:
        case Answered():
            return sandbox
        case SandboxFailed(reason):
            advice = "it must run on this machine and see the same files"
            return NoSandbox(f"a container could not be run ({advice}): {reason}")
        case _:
            return NoSandbox(f"a harmless policy failed in the sandbox: {outcome}")


async def _image(docker: Docker) -> str | None:
    """The digest, which no later change of the name alters; None if there is no such image of ours."""
    try:
        image: dict[str, Any] = await docker.images.inspect(IMAGE)
    except DockerError as error:
        if error.status == NOT_FOUND:
            return None
        raise
    labels = image["Config"].get("Labels") or {}
    return image["Id"] if labels.get(LABEL) == VERSION else None


@asynccontextmanager
async def _events(engine: Docker, name: str) -> AsyncIterator[Callable[[], Awaitable[Event | None]]]:
    """Those of one container that tell its end, from its first on."""
    filters = json.dumps({"type": ["container"], "container": [name], "event": ["oom", "die"]})
    subscriber = engine.events.subscribe(create_task=False)  # type: ignore[no-untyped-call]
    following = asyncio.create_task(engine.events.run(filters=filters, since="0"))
    try:
        yield subscriber.get
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
