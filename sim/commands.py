"""`kinitro env` and `kinitro policy`: which tasks exist, and policies of our own to try them with."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from events.cli import Misused, ProcessOptions, options, run
from sim.experts import NOISE_M, PolicyKind
from sim.http.server import PolicyServer
from sim.suite import DEFAULT_ENVIRONMENTS, ENVIRONMENTS

env = typer.Typer(help="Environments.", no_args_is_help=True)
policy = typer.Typer(help="Policies of our own.", no_args_is_help=True)


@env.callback()
def _env() -> None:
    """Environments."""


@policy.callback()
def _policy() -> None:
    """Policies of our own."""


@env.command("list")
def list_environments() -> None:
    """List every environment there is."""
    table = Table(box=None, header_style="dim")
    table.add_column("environment")
    table.add_column("evaluated by default")
    for name in ENVIRONMENTS:
        table.add_row(name, "yes" if name in DEFAULT_ENVIRONMENTS else "")
    Console().print(table)


@policy.command()
@options
def serve(
    kind: Annotated[PolicyKind, typer.Argument(help="The task's scripted expert, the same half blind, or random.")],
    process: ProcessOptions,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 9000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Tells apart several noisy or random policies.")] = 0,
    noise_m: Annotated[
        float, typer.Option("--noise-m", min=0, help="How far off the noisy expert sees things, in metres.")
    ] = NOISE_M,
) -> None:
    """Serve a policy over HTTP, as a miner would. Experts need the `state/1` observation profile."""

    async def main(stop: asyncio.Event) -> None:
        server = PolicyServer(kind, host=host, port=port, seed=seed, noise_m=noise_m)
        try:
            await server.start()
        except OSError as error:
            raise Misused(
                f"cannot listen on {host}:{port}: {_why(error)}; choose another --host or --port"
            ) from error
        typer.echo(f"{kind} policy at {server.url}")
        try:
            await stop.wait()
        finally:
            await server.stop()

    run(main, process.log_level)


def _why(error: OSError) -> str:
    """The bare reason: asyncio puts the address into its messages once more."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)
