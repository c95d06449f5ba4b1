"""How our commands are made: settings that are options and variables at once, and how an async command runs.

Options are a frozen dataclass whose fields are annotated with `typer.Option(envvar=...)`. A command asks for
whole groups of them; `options` gives it one command-line option per field. `environment` turns settings back into
variables, for the child processes of a command that runs several roles. Below the command line nothing reads the
environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import inspect
import signal
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import typer
import uvloop
from typer.models import OptionInfo

from events import logging
from events.connection import Connection, connect
from events.for_people import ForPeople
from events.logging import LogLevel
from events.server_urls import trusting
from events.streams import ensure_streams

STREAMS_PATIENCE_S = 12.0
"""A cluster that has lost its leader is silent for up to 9 s; longer, and somebody should look."""

FAILED, INTERRUPTED = 1, 130
"""How commands exit that did not do what they were asked."""

CANCEL_AGAIN_S = 3.0
"""`asyncio.wait_for` of Python 3.11 loses a cancellation that comes just as it ends."""


class Misused(ForPeople):
    """The command was given something that it cannot work with. The message says what, and what to do."""


class Servers(Protocol):
    """What `Context.obj` offers to every command: the servers named by their URLs, or the embedded ones."""

    home: Path
    """KINITRO_HOME, absolute: keys, and what the embedded servers keep."""

    def nats(self, url: str | None) -> AbstractAsyncContextManager[str]:
        """The URL of a NATS server that is up: the given one, or an embedded one for as long as this is open."""
        ...

    def database(self, url: str | None) -> AbstractAsyncContextManager[str]:
        """The URL of a PostgreSQL server that is up, likewise."""
        ...


@dataclasses.dataclass(frozen=True)
class LogOptions:
    """Where the log is."""

    nats_url: Annotated[
        str | None,
        typer.Option(envvar="KINITRO_BACKEND_NATS_URL", help="NATS server; an embedded one when absent."),
    ] = None
    replicas: Annotated[
        int, typer.Option(envvar="KINITRO_BACKEND_REPLICAS", min=1, max=5, help="Copies of the log in a cluster.")
    ] = 1
    nats_ca: Annotated[
        Path | None,
        typer.Option(
            envvar="KINITRO_BACKEND_NATS_CA_FILE", help="Who signed its certificate (PEM); for tls:// URLs."
        ),
    ] = None

    def __post_init__(self) -> None:
        """The URL alone is what is passed on, to other processes too."""
        if self.nats_url is not None and self.nats_ca is not None:
            object.__setattr__(self, "nats_url", trusting(self.nats_url, self.nats_ca))


@dataclasses.dataclass(frozen=True)
class ProcessOptions:
    """What every long-running process has."""

    log_level: Annotated[
        LogLevel, typer.Option(envvar="KINITRO_BACKEND_LOG_LEVEL", case_sensitive=False, help="How much to log.")
    ] = LogLevel.INFO


@contextlib.asynccontextmanager
async def open_log(servers: Servers, options: LogOptions, name: str) -> AsyncIterator[Connection]:
    """A connection to the log and the work queue, whose streams are as they should be. `name` is for the operator.

    Raises:
        LogError: the server does not answer, or its streams have other settings.
    """
    async with servers.nats(options.nats_url) as url, await connect(url, name) as connection:
        await ensure_streams(connection, replicas=options.replicas, patience_s=STREAMS_PATIENCE_S)
        yield connection


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Replaces each parameter that is a settings dataclass by one keyword parameter per field of it."""
    hints = typing.get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint) and isinstance(hint, type)}

    @functools.wraps(command)
    def wrapped(**given: Any) -> Any:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in dataclasses.fields(group)})
        return command(**given)

    parameters = list(_parameters(command, hints, groups))
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped


def _parameters(
    command: Callable[..., Any], hints: dict[str, Any], groups: dict[str, type]
) -> Iterator[inspect.Parameter]:
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in groups:
            yield parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            continue
        fields = typing.get_type_hints(groups[name], include_extras=True)
        for field in dataclasses.fields(groups[name]):
            yield inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=fields[field.name]
            )


def environment(*settings: object) -> dict[str, str]:
    """The variables from which a child process makes equal settings objects."""
    variables: dict[str, str] = {}
    for group in settings:
        for name, hint in typing.get_type_hints(type(group), include_extras=True).items():
            value = getattr(group, name)
            if value is not None:
                variables[_envvar(hint)] = " ".join(value) if isinstance(value, list) else str(value)
    return variables


def _envvar(hint: Any) -> str:
    (option,) = (part for part in hint.__metadata__ if isinstance(part, OptionInfo))
    assert isinstance(option.envvar, str), f"{hint} names no variable"
    return option.envvar


def run(main: Callable[[asyncio.Event], Awaitable[None]], log_level: LogLevel = LogLevel.WARNING) -> bool:
    """Runs a command until it returns; SIGINT and SIGTERM set the event that it is given, for a clean end.

    A command that does not look at it yet, as it waits for a server to answer, is cancelled. Returns whether one of
    the signals came.
    """
    logging.configure(log_level)
    return uvloop.run(_with_signals(main))


def run_once(main: Callable[[], Awaitable[None]]) -> None:
    """Runs a command that ends by itself; Ctrl-C interrupts it.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    if run(lambda stop: until(stop, main())):
        raise KeyboardInterrupt


class _Stop(asyncio.Event):
    """Knows whether anybody looks at it yet. Who still waits for a server does not."""

    def __init__(self) -> None:
        super().__init__()
        self.is_heeded = False

    def is_set(self) -> bool:
        self.is_heeded = True
        return super().is_set()

    async def wait(self) -> Literal[True]:
        self.is_heeded = True
        return await super().wait()


async def _with_signals(main: Callable[[asyncio.Event], Awaitable[None]]) -> bool:
    stop = _Stop()
    running = asyncio.ensure_future(main(stop))

    def end() -> None:
        if not stop.is_heeded:
            running.cancel()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    try:
        await running
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
    return stop.is_set()


async def until(stop: asyncio.Event, work: Awaitable[Any]) -> None:
    """Does the work until it is done or `stop` is set, whichever comes first; then it is cancelled.

    Raises:
        What the work raises.
    """
    working, stopping = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
    finally:
        stopping.cancel()
        while not working.done():
            working.cancel()
            await asyncio.wait({working}, timeout=CANCEL_AGAIN_S)
        await asyncio.gather(working, stopping, return_exceptions=True)
