"""The `kinitro` command: mounts each package's commands; `backend` and `demo` run all roles together."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import dotenv
import typer
from rich.console import Console
from rich.markup import escape
from typer._click.exceptions import ClickException, NoArgsIsHelpError, UsageError

import api.commands
import consumers.audit.commands
import consumers.commands
import consumers.explaining.commands
import consumers.signing.commands
import events.commands
import producers.commands
import projectors.commands
import projectors.replay_command
import sim.commands
from api.commands import ApiOptions
from api.server import ListenError, listening
from consumers.audit.case import CannotAudit
from consumers.commands import ExecutorOptions
from consumers.scoring.handler import run_scoring
from consumers.signing.commands import SigningOptions
from consumers.signing.handler import run_signing
from consumers.signing.identity import KeyRefused, take_up
from events import display, subjects
from events.cli import LogOptions, Misused, ProcessOptions, environment, open_log, options, run, until
from events.codec import CodecError
from events.connection import Connection
from events.display import result_view, show_progress
from events.export import ExportError
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.keys import SigningKey
from events.log import EventLog, LogError, Stored
from events.queue import QueueError
from events.secret_file import SecretRefused
from events.server import EmbeddedNats, EmbeddedNatsError
from events.statements import StatementError
from events.weights import WeightsComputed, WeightsWithheld
from producers.commands import CycleOptions, NetworkOptions, Scheduling, ScoringOptions, schedule, scored_event
from producers.cycles.conductor import CycleError
from producers.cycles.scheduler import newest_cycle
from producers.discovery.source import SourceTrouble
from projectors.checkpoint import ProjectionError
from projectors.commands import DatabaseOptions
from projectors.database import DatabaseError, check_answers
from projectors.server import EmbeddedPostgres, EmbeddedPostgresError
from sim.cameras import find_profile
from sim.errors import SimError
from sim.experts import PolicyKind
from sim.runtime.embedded import EmbeddedServer, is_running, run_or_join
from sim.runtime.processes import REFUSED, Child, ChildNotReady, ChildRefused, Restart, Supervisor
from sim.suite import find
from sim.versions import versions

FOR_PEOPLE = (
    CannotAudit,
    ChildNotReady,
    ChildRefused,
    CodecError,
    CycleError,
    DatabaseError,
    EmbeddedNatsError,
    EmbeddedPostgresError,
    ExportError,
    KeyRefused,
    ListenError,
    LogError,
    ProjectionError,
    SecretRefused,
    Misused,
    QueueError,
    SimError,
    SourceTrouble,
    StatementError,
)
"""Errors whose message says what is wrong and what to do: shown without a traceback."""

NOT_OURS_TO_MEND = {errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS}
"""A disk that is full, a directory that is not writable: the operator's, wherever it shows."""

READY_S = 60.0
FAILED, INTERRUPTED = 1, 130

app = typer.Typer(
    name="kinitro",
    help="Evaluate robot policies of a subnet's miners, score them, publish their weights; replay everything.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Home:
    """KINITRO_HOME, and the servers that live in it when none are named."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def nats(self, url: str | None) -> AbstractAsyncContextManager[str]:
        return _given(url) if url else self._embedded("nats", EmbeddedNats)

    def database(self, url: str | None) -> AbstractAsyncContextManager[str]:
        return _given(url) if url else self._embedded("postgres", EmbeddedPostgres)

    def _embedded(self, name: str, server: Callable[[Path], EmbeddedServer]) -> AbstractAsyncContextManager[str]:
        try:
            self.home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Misused(
                f"KINITRO_HOME {self.home} cannot be used ({error.strerror}): choose another with --home"
            ) from error
        return run_or_join(name, server(self.home), self.home)


@asynccontextmanager
async def _given(url: str) -> AsyncIterator[str]:
    yield url


@app.callback()
def _configure(
    context: typer.Context,
    home: Annotated[
        Path, typer.Option(envvar="KINITRO_HOME", help="Where keys and the embedded servers keep their data.")
    ] = Path(".kinitro"),
) -> None:
    context.obj = Home(home.resolve())


app.command("api")(api.commands.serve)
app.command("executor")(consumers.commands.executor)
app.command("worker", hidden=True)(consumers.commands.worker)
app.command("projector")(projectors.commands.projector)
app.command("replay")(projectors.replay_command.replay)
app.command("explain")(consumers.explaining.commands.explain)
app.add_typer(consumers.audit.commands.audit, name="audit")
app.add_typer(consumers.audit.commands.episode, name="episode")
app.add_typer(consumers.signing.commands.identity, name="identity")
app.add_typer(producers.commands.cycle, name="cycle")
app.add_typer(projectors.commands.db, name="db")
app.add_typer(sim.commands.env, name="env")
app.add_typer(sim.commands.policy, name="policy")
app.add_typer(events.commands.events, name="events")


@app.command()
@options
def scheduler(
    context: typer.Context,
    log: LogOptions,
    network: NetworkOptions,
    cycles: CycleOptions,
    scoring: ScoringOptions,
    signing: SigningOptions,
    process: ProcessOptions,
    until_cycle: Annotated[
        int | None, typer.Option(min=1, help="End when this cycle is scored, instead of going on for ever.")
    ] = None,
) -> None:
    """Discover miners, conduct cycles, score those that are sealed, and sign what came out."""

    async def main(stop: asyncio.Event) -> None:
        scheduling = _scheduling(context.obj, network, cycles, scoring)
        scheduling.check()
        key = signing.key(context.obj.home)
        async with context.obj.nats(log.nats_url) as url:
            at = replace(log, nats_url=url)
            await until(stop, _schedule_and_score(at, context.obj, scheduling, key, until_cycle))

    run(main, process.log_level)


async def _schedule_and_score(
    log: LogOptions, home: Home, scheduling: Scheduling, key: SigningKey, until_cycle: int | None
) -> None:
    """All in one process: scoring and signing are a few seconds of work once a cycle, and nobody forgets them."""
    assert log.nats_url is not None
    done = asyncio.Event()
    async with open_log(home, log, "scheduler") as connection:
        await take_up(JetStreamLog(connection), key)
        beside = [
            asyncio.ensure_future(run_scoring(log.nats_url, done, replicas=log.replicas)),
            asyncio.ensure_future(run_signing(log.nats_url, key, done, replicas=log.replicas)),
        ]
        conducting = asyncio.ensure_future(_conduct(connection, scheduling, until_cycle))
        try:
            first, _ = await asyncio.wait({*beside, conducting}, return_when=asyncio.FIRST_COMPLETED)
            for task in first:
                await task
        finally:
            done.set()
            conducting.cancel()
            await asyncio.gather(*beside, conducting, return_exceptions=True)


async def _conduct(connection: Connection, scheduling: Scheduling, until_cycle: int | None) -> None:
    wanted = None if until_cycle is None else CycleId(until_cycle)
    await schedule(connection, scheduling, wanted)
    if wanted is not None:
        await _signed(JetStreamLog(connection), wanted)


async def _signed(log: EventLog, cycle: CycleId) -> WeightsComputed | WeightsWithheld:
    """What the cycle came to, once that is signed."""
    result = await _scored(log, cycle)
    await _first(log, subjects.signed_root(cycle))
    if isinstance(result, WeightsComputed):
        await _first(log, subjects.signed_weights(cycle))
    return result


async def _scored(log: EventLog, cycle: CycleId) -> WeightsComputed | WeightsWithheld:
    """What the cycle came to, once it is scored."""
    return scored_event(await _first(log, subjects.weights(cycle)))


async def _first(log: EventLog, subject: str) -> Stored:
    """The event at a subject, once it is there."""
    async with aclosing(log.follow(subject=subject)) as batches:
        async for batch in batches:
            return batch[0]
    raise AssertionError("a log is followed for ever")


@dataclass(frozen=True)
class Group:
    """The roles of one backend: children with the same variables, so with the same options."""

    variables: dict[str, str]
    output: Path | None = None
    """Directory of a log file per role; None for our own standard error."""

    def role(self, name: str, *arguments: str, **how: Any) -> Child:
        """`kinitro NAME ARGUMENTS` as a child process."""
        command = (sys.executable, str(Path(__file__).resolve()), name, *arguments)
        output = self.output / f"{name}.log" if self.output else None
        env = os.environ | self.variables
        return Child(name, command, env=env, output=output, death_signal=signal.SIGKILL, **how)


@app.command()
@options
def backend(
    context: typer.Context,
    address: ApiOptions,
    log: LogOptions,
    database: DatabaseOptions,
    network: NetworkOptions,
    cycles: CycleOptions,
    scoring: ScoringOptions,
    signing: SigningOptions,
    executor: ExecutorOptions,
    process: ProcessOptions,
) -> None:
    """Run everything in one supervised group, until Ctrl-C."""

    async def main(stop: asyncio.Event) -> None:
        _scheduling(context.obj, network, cycles, scoring).check()
        signing.key(context.obj.home)
        _check_free(address)
        async with (
            context.obj.nats(log.nats_url) as nats_url,
            context.obj.database(database.database_url) as database_url,
            Supervisor() as supervisor,
        ):
            urls = (replace(log, nats_url=nats_url), replace(database, database_url=database_url))
            await _check_servers(context.obj, *urls)
            settings = (address, network, cycles, scoring, signing, executor, process)
            group = Group(_variables(context.obj, *urls, *settings))
            for name in ("projector", "api", "executor", "scheduler"):
                await supervisor.start(group.role(name))
            await supervisor.until(stop)

    run(main, process.log_level)


@producers.commands.cycle.command("run")
@options
def run_cycle(
    context: typer.Context,
    log: LogOptions,
    network: NetworkOptions,
    cycles: CycleOptions,
    scoring: ScoringOptions,
    signing: SigningOptions,
    executor: ExecutorOptions,
    process: ProcessOptions,
) -> None:
    """Run the next cycle now, or the one that is running to its end, and show what comes out.

    Where somebody runs the servers already (here, or at --nats-url) the executors there do the work; start one if
    there is none. Otherwise servers and an executor are run meanwhile.
    """

    async def main(stop: asyncio.Event) -> None:
        _scheduling(context.obj, network, cycles, scoring).check()
        signing.key(context.obj.home)
        alone = log.nats_url is None and not is_running("nats", context.obj.home)
        async with context.obj.nats(log.nats_url) as nats_url, Supervisor() as supervisor:
            at = replace(log, nats_url=nats_url)
            variables = _variables(context.obj, at, network, cycles, scoring, signing, executor, process)
            group = Group(variables, output=context.obj.home / "logs")
            if alone:
                await supervisor.start(group.role("executor"))
            await until(stop, _run_next_cycle(context.obj, at, group, supervisor))

    if run(main):
        raise typer.Exit(INTERRUPTED)


async def _run_next_cycle(home: Home, log: LogOptions, group: Group, supervisor: Supervisor) -> None:
    console = display.console()
    async with open_log(home, log, "cycle run") as connection:
        events_log = JetStreamLog(connection)
        cycle = await _next_cycle(events_log)
        await supervisor.start(
            group.role("scheduler", "--until-cycle", str(cycle), restart=Restart.ON_FAILURE, stop_grace_s=5)
        )
        await supervisor.before_refusal(show_progress(events_log, cycle, console))
        console.print(result_view(await supervisor.before_refusal(_signed(events_log, cycle))))


async def _next_cycle(log: EventLog) -> CycleId:
    """The cycle that is under way, or else the one after the newest."""
    newest = await newest_cycle(log)
    under_way = newest > 0 and await log.last(subjects.weights(newest)) is None
    return newest if under_way else CycleId(newest + 1)


DEMO_POLICIES = (PolicyKind.RANDOM, PolicyKind.NOISY, PolicyKind.EXPERT)
"""In the order of their commitments: who comes later must be clearly better to win anything."""

DEMO_ENVIRONMENTS = "metaworld/reach-v3,metaworld/push-v3,metaworld/pick-place-v3"
"""The half-blind expert still reaches, but no longer pushes or picks: it comes between the other two."""

DEMO_ACT_DEADLINE_MS = 2000
"""Policies, physics and servers share one machine, which may be busy with other things."""


@app.command()
@options
def demo(
    context: typer.Context,
    executor: ExecutorOptions,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the API.")] = 8000,
    episodes: Annotated[int, typer.Option(min=1, help="Per miner and environment.")] = 5,
    keep: Annotated[bool, typer.Option(help="Keep the API up until Ctrl-C.")] = True,
) -> None:
    """Run a real cycle against three policies of our own, from physics to weights, and keep the API up."""

    async def main(stop: asyncio.Event) -> None:
        address = ApiOptions(host="127.0.0.1", port=port)
        _check_free(address)
        console = display.console()
        console.print("Starting NATS and PostgreSQL, three policy servers, and the backend's roles ...")
        async with (
            context.obj.nats(None) as nats_url,
            context.obj.database(None) as database_url,
            Supervisor() as supervisor,
        ):
            log = LogOptions(nats_url=nats_url)
            group = Group(
                _variables(
                    context.obj,
                    log,
                    DatabaseOptions(database_url=database_url),
                    address,
                    replace(executor, allow_private_endpoints=True),
                    *_demo_options(context.obj.home / "demo" / "roster.toml", episodes),
                ),
                output=context.obj.home / "logs",
            )
            await until(stop, _start_demo(context.obj, group, supervisor, address))
            if not stop.is_set():
                await until(stop, _run_next_cycle(context.obj, log, group, supervisor))
            if keep and not stop.is_set():
                _tell_demo(console, address)
                await supervisor.until(stop)

    run(main)


async def _start_demo(home: Home, group: Group, supervisor: Supervisor, address: ApiOptions) -> None:
    ports = _demo_ports(home.home / "demo" / "ports")
    for kind, port in ports.items():
        policy = group.role("policy", "serve", kind, "--port", str(port))
        await supervisor.start(
            replace(policy, name=f"policy {kind}", ready=partial(_answers, f"http://127.0.0.1:{port}/health"))
        )
    _write_roster(home.home / "demo" / "roster.toml", ports)
    await supervisor.start(group.role("projector"))
    await supervisor.start(group.role("api", ready=partial(_answers, f"http://127.0.0.1:{address.port}/livez")))
    await supervisor.start(group.role("executor"))


def _demo_options(roster: Path, episodes: int) -> tuple[object, ...]:
    cycles = CycleOptions(
        environments=DEMO_ENVIRONMENTS,
        episodes_per_env=episodes,
        observation_profile="state/1",
        action_timeout_ms=DEMO_ACT_DEADLINE_MS,
    )
    return NetworkOptions(network="local", roster=roster), cycles


def _demo_ports(path: Path) -> dict[PolicyKind, int]:
    """A port for each policy: those of the last time where they are free, so that the roster stays as it was."""
    if path.exists():
        ports = dict(zip(DEMO_POLICIES, map(int, path.read_text().split()), strict=True))
        if all(_is_free("127.0.0.1", port) for port in ports.values()):
            return ports
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in DEMO_POLICIES]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        ports = {kind: probe.getsockname()[1] for kind, probe in zip(DEMO_POLICIES, probes, strict=True)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(" ".join(map(str, ports.values())))
    return ports


def _write_roster(path: Path, ports: dict[PolicyKind, int]) -> None:
    tables = [
        f"""[[miner]]
hotkey = "demo-{kind}"
uid = {uid}
endpoint = "http://127.0.0.1:{port}"
repo = "demo/{kind}"
revision = "{versions()["kinitro.sim"]}"
committed_block = {100 * (uid + 1)}
"""
        for uid, (kind, port) in enumerate(ports.items())
    ]
    new = path.with_suffix(".new")
    new.write_text("\n".join(tables))
    new.replace(path)


async def _answers(url: str) -> None:
    """Returns once a GET of this URL succeeds.

    Raises:
        TimeoutError: not within READY_S.
    """
    async with asyncio.timeout(READY_S), aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while True:
            try:
                async with session.get(url) as answer:
                    answer.raise_for_status()
                    return
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.05)


def _tell_demo(console: Console, address: ApiOptions) -> None:
    url = f"http://{address.host}:{address.port}"
    console.print(f"""
The API is up until Ctrl-C:
  curl {url}/v1/weights/latest
  curl {url}/v1/scores/latest
  {url}/docs""")


def _scheduling(home: Home, network: NetworkOptions, cycles: CycleOptions, scoring: ScoringOptions) -> Scheduling:
    for env in cycles.environment_ids():
        find(env)
    find_profile(cycles.observation_profile)
    return Scheduling(network, cycles, scoring, home.home, versions())


def _variables(home: Home, *groups: object) -> dict[str, str]:
    return {"KINITRO_HOME": str(home.home), **environment(*groups)}


def _check_free(address: ApiOptions) -> None:
    with listening(address.host, address.port):
        pass


async def _check_servers(home: Home, log: LogOptions, database: DatabaseOptions) -> None:
    """Says once what every role would say: that a server does not answer, or has other streams than ours."""
    async with open_log(home, log, "backend"):
        pass
    assert database.database_url is not None
    await check_answers(database.database_url)


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def main() -> None:
    """The console script: one line for what people can mend, a traceback for what only we can."""
    dotenv.load_dotenv(Path.cwd() / ".env")
    try:
        sys.exit(app(prog_name="kinitro", standalone_mode=False))
    except NoArgsIsHelpError:
        sys.exit(REFUSED)  # the help was shown when this was raised
    except ClickException as error:
        _refuse(_usage(error))
    except FOR_PEOPLE as error:
        _refuse(str(error))
    except BrokenPipeError:  # whoever read our output has seen enough: head, or a pager
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except OSError as error:
        if error.errno not in NOT_OURS_TO_MEND:
            raise
        _refuse(f"{error.filename or 'a file'}: {error.strerror}; make room or choose another --home")
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)


def _usage(error: ClickException) -> str:
    message = " ".join(error.format_message().replace("Value error, ", "").split())
    command = error.ctx.command_path if isinstance(error, UsageError) and error.ctx else "kinitro"
    return f"{message} (see {command} --help)"


def _refuse(message: str) -> None:
    Console(stderr=True, soft_wrap=True, emoji=False).print(
        f"[bold red]kinitro:[/] {escape(message)}", highlight=False
    )
    sys.exit(REFUSED)


if __name__ == "__main__":
    main()
