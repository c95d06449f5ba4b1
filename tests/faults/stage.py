"""A backend whose every process the test holds in its own hand, in the middle of the one fixed cycle.

async with stage(subnet) as it:
    await it.under_way()
    it.role("worker-1").kill()
    await it.unharmed(undisturbed)
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import aiohttp

from api.commands import ApiOptions
from consumers.commands import ExecutorOptions
from events import subjects
from events.cli import LogOptions, environment
from events.connection import connect
from events.jetstream import JetStreamLog
from events.stream_settings import TRACES_KEPT, TraceLimits
from events.streams import ensure_streams
from projectors.commands import DatabaseOptions
from projectors.database import create_database
from projectors.topics import PROJECTIONS
from tests.eventually import eventually
from tests.faults.gate import Gate, Point
from tests.faults.roles import STARTED_S, Role
from tests.faults.verdict import audited, outcomes_told
from tests.faults.witness import Witness
from tests.fixtures.http import Api
from tests.fixtures.nats import NatsProcess
from tests.fixtures.ports import free_port
from tests.fixtures.postgres import RunningPostgres
from tests.system.backends import kinitro, new_home
from tests.system.cycles import CYCLE, CYCLE_S, Result, Subnet, result_of, scored, some_outcomes, write_beginning
from tests.system.reading import assert_served

WORKERS = ("worker-1", "worker-2")
ROLES = ("scheduler", "projector", "api", *WORKERS)
EPISODES = 27
"""Of the fixed cycle: three miners, three environments, three each."""
EPISODES_IN_FLIGHT = 4
SLOTS = len(WORKERS) * EPISODES_IN_FLIGHT
LOOK_S = 3.0
"""How long a server that was started may take to answer, before somebody looks whether it still runs."""
LEASE_S = 3.0
"""Short, so that no test waits long for a task of the dead."""
GRACE_S = 5.0
"""How long workers go on after a SIGTERM."""


class LogServer(Protocol):
    """The server of the log, or all of them; `start` does not wait until it is ready."""

    @property
    def url(self) -> str: ...

    def start(self) -> None: ...

    def kill(self) -> None: ...


@dataclass
class Stage:
    """Servers and roles, up and running. What a test changes about them is its fault."""

    home: Path
    subnet: Subnet
    nats: LogServer
    postgres: RunningPostgres
    roles: dict[str, Role]
    api: Api
    log: JetStreamLog
    witness: Witness
    gates: dict[str, Gate]
    """Between roles and the log's server, by role."""
    extra: AsyncExitStack = field(default_factory=AsyncExitStack)

    def role(self, name: str) -> Role:
        return self.roles[name]

    @property
    def workers(self) -> list[Role]:
        return [role for name, role in self.roles.items() if name.startswith("worker-")]

    @property
    def log_directory(self) -> Path:
        """Of the log's server, where it is our own."""
        assert isinstance(self.nats, NatsProcess)
        return self.nats.embedded.directory

    async def another(self, name: str, like: str, **more: str) -> Role:
        """One more process of a role, under another name."""
        role = self.roles[name] = _role(name, like, self.home, self.roles[like].env | more)
        await self.extra.enter_async_context(role.kept())
        return role

    async def under_way(self, outcomes: int = 3) -> None:
        """Returns once so many episodes have ended."""
        async with asyncio.timeout(CYCLE_S):
            await some_outcomes(self.log, outcomes)

    async def stored(self, subject: str) -> None:
        """Returns once an event stands there."""

        async def is_there() -> bool:
            return await self.log.last(subject) is not None

        await eventually(is_there, CYCLE_S)

    async def killed_at_each(self, name: str, points: Sequence[Point]) -> None:
        """Kills a role that has a gate at every one of these points, in the order in which it comes to them."""
        role, gate, left = self.roles[name], self.gates[name], list(points)
        await gate.catch(left)
        while left:
            caught = await gate.caught()
            if caught.point.sent and caught.subject.startswith("evt."):
                await self.stored(caught.subject)
            await role.killed()
            left.remove(caught.point)
            await gate.catch(left)

    async def restart_nats(self, away_s: float = 0.0) -> None:
        """kill -9 of the log's server, and so many seconds without it."""
        await asyncio.to_thread(self.nats.kill)
        await asyncio.sleep(away_s)
        await asyncio.to_thread(self.nats.start)

    async def restart_postgres(self, away_s: float = 0.0) -> None:
        """kill -9 of the database server, and so many seconds without it."""
        await asyncio.to_thread(self.postgres.kill)
        await asyncio.sleep(away_s)
        await self.start_postgres()

    async def start_postgres(self) -> None:
        """Starts the database server, again and again until it stays, as a supervisor would.

        It refuses to start while a backend of the one that was killed has not ended yet.
        """
        async with asyncio.timeout(STARTED_S):
            while True:
                await asyncio.to_thread(self.postgres.start)
                try:
                    return await self.postgres.server.wait_ready(LOOK_S)
                except TimeoutError:
                    if self.postgres.process is not None and self.postgres.process.poll() is None:
                        return None  # it recovers, which may take a while

    async def kinitro(self, *arguments: str) -> str:
        """What this command says, run beside the roles with what they know; it must succeed."""
        env = os.environ | self.roles["api"].env
        process = await asyncio.create_subprocess_exec(
            *kinitro(*arguments), env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output = (await process.communicate())[0].decode()
        assert process.returncode == 0, output
        return output

    async def health(self, path: str = "/readyz") -> tuple[int, list[str]]:
        """The status of this answer, and which parts it says are not as they should be; 0 while nobody answers."""
        try:
            answer = await self.api.get(path)
        except aiohttp.ClientError:
            return 0, []
        return answer.status, answer.json["degraded"]

    async def read_models_right(self) -> None:
        """Fails unless the tables hold, row by row, what the log alone gives: none missing, none counted twice."""
        said = await self.kinitro("replay")
        assert said.count("identical to what was live") == len(PROJECTIONS), said

    def look_anew(self) -> None:
        """Forgets what was seen of the log, for a test in which it has lost that."""
        self.log = JetStreamLog(self.log._connection, patience_s=CYCLE_S)

    async def finished(self) -> Result:
        """What the cycle came to, once its weights are signed. Every planned episode has exactly one outcome."""
        async with asyncio.timeout(CYCLE_S):
            await scored(self.log)
            await self.stored(subjects.signed_weights(CYCLE))
        return await result_of(self.log)

    async def unharmed(self, undisturbed: Result) -> None:
        """Waits for the end of the cycle; fails unless the fault has changed nothing that counts.

        Every planned episode has exactly one outcome, and those and the weights are what they are without a fault,
        byte for byte; all that anybody has seen in the log, or was told is there, is there; the audit derives the
        same; and the API shows it.
        """
        await self.ended_as(undisturbed)
        async with self.telling():
            await self.witness.confirmed()

    async def ended_as(self, undisturbed: Result) -> None:
        """As `unharmed`, of a log that has lost what somebody had seen."""
        async with self.telling():
            assert await self.finished() == undisturbed
            assert await outcomes_told(self.workers, self.log) > 0
            assert (await audited(self.log)).agrees
            await assert_served(self.api, self.log)

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """What fails in it fails with everybody's output."""
        try:
            yield
        except BaseException:
            self.tell()
            raise

    def tell(self) -> None:
        """Prints how everybody's output ends."""
        for role in self.roles.values():
            print(f"--- {role.name}, started {role.starts} times\n{role.end_of_output}")


@asynccontextmanager
async def stage(
    subnet: Subnet,
    *,
    begun: bool = True,
    roles: tuple[str, ...] = ROLES,
    gated: tuple[str, ...] = (),
    own: Mapping[str, Mapping[str, str]] | None = None,
    log_on: Callable[[Path], AbstractContextManager[object]] = lambda _: nullcontext(),
    traces: TraceLimits = TRACES_KEPT,
    log_server: LogServer | None = None,
    replicas: int = 1,
    **variables: str,
) -> AsyncIterator[Stage]:
    """Servers and roles of a new home, with the fixed cycle planned and seeded (`begun`), and nobody's fault yet.

    `gated`: roles that reach the log through a gate; all of these are open, and no process has come to one yet.
    `log_server`: one that runs already, in place of one of our own; else `log_on` prepares its directory.
    `traces`: what the roles have by their options. `own`: environment of single roles; `variables`: of all.
    """
    async with AsyncExitStack() as stack:
        home = stack.enter_context(new_home())
        nats, postgres = log_server or NatsProcess(home), RunningPostgres(home)
        stack.callback(postgres.kill)
        if isinstance(nats, NatsProcess):
            stack.enter_context(log_on(nats.embedded.directory))
            stack.callback(nats.kill)
            await _up(nats)
        await _up_database(postgres)
        connection = await stack.enter_async_context(await connect(nats.url, "test"))
        await ensure_streams(connection, replicas=replicas, ack_wait_s=LEASE_S, traces=traces)
        log = JetStreamLog(connection, patience_s=CYCLE_S)
        if begun:
            await write_beginning(log, home, subnet)
        address = ApiOptions(host="127.0.0.1", port=free_port())
        env = _variables(home, subnet, LogOptions(nats.url, replicas), postgres.server.url, address) | variables
        gates = {name: await stack.enter_async_context(Gate(nats.url)) for name in gated}
        through = {name: environment(LogOptions(gate.url, replicas)) for name, gate in gates.items()}
        running = {
            name: _role(
                name, name.partition("-")[0], home, env | through.get(name, {}) | dict((own or {}).get(name, {}))
            )
            for name in roles
        }
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)))
        api = Api(f"http://127.0.0.1:{address.port}", session)
        witness = await stack.enter_async_context(Witness.of(log))
        for role in running.values():
            await stack.enter_async_context(role.kept())
        extra = await stack.enter_async_context(AsyncExitStack())
        yield Stage(home, subnet, nats, postgres, running, api, log, witness, gates, extra)


async def _up(nats: NatsProcess) -> None:
    nats.start()
    await nats.embedded.wait_ready(60)


async def _up_database(postgres: RunningPostgres) -> None:
    await asyncio.to_thread(postgres.start)
    await postgres.server.wait_ready(60)
    await create_database(postgres.server.url)


def _variables(home: Path, subnet: Subnet, log: LogOptions, database_url: str, address: ApiOptions) -> dict[str, str]:
    return {
        "KINITRO_HOME": str(home),
        **environment(
            log,
            DatabaseOptions(database_url),
            subnet.network,
            subnet.cycles,
            subnet.verification,
            address,
            ExecutorOptions(episodes_in_flight=EPISODES_IN_FLIGHT, allow_private_endpoints=True),
        ),
    }


def _role(name: str, command: str, home: Path, env: Mapping[str, str]) -> Role:
    argv = (*kinitro(command), *_arguments(name, command))
    return Role(name, argv, env, home / f"{name}.output")


def _arguments(name: str, command: str) -> tuple[str, ...]:
    if command != "worker":
        return ()
    return ("--name", name, "--lease-s", str(LEASE_S), "--grace-s", str(GRACE_S))
