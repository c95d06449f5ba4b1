"""`kinitro demo`: a real cycle against three policies of our own."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import aiohttp
import typer
from rich.console import Console

from api.commands import ApiOptions
from api.together.cycle_run import run_next_cycle
from api.together.home import Home
from api.together.roles import Group, check_free, variables
from consumers.commands import ExecutorOptions
from events import display
from events.cli import LogOptions, options, run, until
from events.live import Detail
from events.verification_options import VerificationOptions
from producers.options import CycleOptions, NetworkOptions
from projectors.commands import DatabaseOptions
from sim.experts import PolicyKind
from sim.runtime.supervisor import Supervisor
from sim.versions import versions

READY_S = 60.0

POLICIES = (PolicyKind.RANDOM, PolicyKind.NOISY, PolicyKind.EXPERT)
"""In the order of their commitments: who comes later must be clearly better to win anything."""

ENVIRONMENTS = "metaworld/reach-v3,metaworld/push-v3,metaworld/pick-place-v3"
"""The half-blind expert still reaches, but no longer pushes or picks: it comes between the other two."""

ACT_DEADLINE_MS = 2000
"""Policies, physics and servers share one machine, which may be busy with other things."""


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
        check_free(address)
        console = display.console()
        console.print("Starting NATS and PostgreSQL, three policy servers, and the backend's roles ...")
        async with (
            context.obj.nats(None) as nats_url,
            context.obj.database(None) as database_url,
            Supervisor() as supervisor,
        ):
            log = LogOptions(nats_url=nats_url)
            group = Group(
                variables(
                    context.obj,
                    log,
                    DatabaseOptions(database_url=database_url),
                    address,
                    replace(executor, allow_private_endpoints=True, live_detail=Detail.FRAMES),
                    *_demo_options(context.obj.home / "demo" / "roster.toml", episodes),
                ),
                output=context.obj.home / "logs",
            )
            await until(stop, _start_demo(context.obj, group, supervisor, address))
            if not stop.is_set():
                await until(stop, run_next_cycle(context.obj, log, group, supervisor))
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
        environments=ENVIRONMENTS,
        episodes_per_env=episodes,
        observation_profile="state/1",
        action_timeout_ms=ACT_DEADLINE_MS,
    )
    # Nobody has committed these policies anywhere, so nobody could compare them with anything.
    return NetworkOptions(network="local", roster=roster), cycles, VerificationOptions(verification=False)


def _demo_ports(path: Path) -> dict[PolicyKind, int]:
    """A port for each policy: those of the last time where they are free, so that the roster stays as it was."""
    if path.exists():
        ports = dict(zip(POLICIES, map(int, path.read_text().split()), strict=True))
        if all(_is_free("127.0.0.1", port) for port in ports.values()):
            return ports
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in POLICIES]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        ports = {kind: probe.getsockname()[1] for kind, probe in zip(POLICIES, probes, strict=True)}
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
  {url}/ in a browser
  curl {url}/v1/weights/latest
  curl {url}/v1/scores/latest
  {url}/docs""")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
