"""`kinitro validate`: other people's weights, checked and submitted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import aiohttp
import typer

from consumers.validator.backend import Backend
from consumers.validator.chain import SubnetChain
from consumers.validator.rounds import Outcome
from consumers.validator.validator import Settings, Validator
from events.chain import wallets
from events.chain.networks import endpoint_of
from events.cli import Misused, ProcessOptions, Servers, options, run, until
from events.ids import Hotkey
from sim.versions import PROCESS_ENVIRONMENT

if TYPE_CHECKING:
    import asyncio

FAILED = 1
"""The exit status of `--once` where nothing was submitted because a check failed or the chain would not take it."""

HOW_TO_PIN = (
    "the key in force is at GET /v1/identity of the backend; ask the operator by other means whether it is theirs"
)


@options
def validate(
    context: typer.Context,
    backend_url: Annotated[
        list[str],
        typer.Option(
            envvar="KINITRO_VALIDATOR_BACKEND_URL", help="A backend's public API; the next ones are its fallbacks."
        ),
    ],
    netuid: Annotated[
        int, typer.Option(envvar="KINITRO_VALIDATOR_NETUID", min=0, max=65535, help="The subnet's number.")
    ],
    process: ProcessOptions,
    backend_key: Annotated[
        str | None,
        typer.Option(envvar="KINITRO_VALIDATOR_BACKEND_KEY", help="The key (SS58) that signs the weights."),
    ] = None,
    network: Annotated[
        str, typer.Option(envvar="KINITRO_VALIDATOR_NETWORK", help="finney, test, local, or a node's URL.")
    ] = "finney",
    chain_endpoint: Annotated[
        list[str] | None,
        typer.Option(
            envvar="KINITRO_VALIDATOR_CHAIN_ENDPOINT", help="Nodes to use instead of the network's, in turn."
        ),
    ] = None,
    wallet_name: Annotated[
        str, typer.Option(envvar="KINITRO_VALIDATOR_WALLET_NAME", help="In ~/.bittensor/wallets.")
    ] = "default",
    hotkey_name: Annotated[
        str, typer.Option(envvar="KINITRO_VALIDATOR_HOTKEY_NAME", help="Of this wallet.")
    ] = "default",
    episodes: Annotated[
        int,
        typer.Option(
            envvar="KINITRO_VALIDATOR_EPISODES", min=0, help="How many to simulate again; needs the simulator."
        ),
    ] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and submit nothing.")] = False,
    once: Annotated[
        bool, typer.Option("--once", help="End with the newest weights: 0 submitted or nothing new, 1 refused.")
    ] = False,
) -> None:
    """Check the backend's weights against the evidence, and submit them to the chain."""
    if not backend_key:
        raise Misused(f"--backend-key is missing: {HOW_TO_PIN}")
    servers: Servers = context.obj
    settings = Settings(
        backend_key=_address(backend_key), netuid=netuid, home=servers.home, episodes=episodes, dry_run=dry_run
    )
    chain = _chain(chain_endpoint or [_endpoint(network)], netuid, wallets.hotkey(wallet_name, hotkey_name))
    if episodes:
        os.environ.update(PROCESS_ENVIRONMENT)  # for the processes that simulate
    refused: list[str] = []

    async def main(stop: asyncio.Event) -> None:
        async with aiohttp.ClientSession() as session:
            validator = Validator(settings, [Backend(session, url) for url in backend_url], chain)
            try:
                await until(stop, _once(validator, refused) if once else validator.follow())
            finally:
                validator.close()
                await chain.close()

    interrupted = run(main, process.log_level)
    if once and interrupted:
        raise KeyboardInterrupt
    if refused:
        raise typer.Exit(FAILED)


async def _once(validator: Validator, refused: list[str]) -> None:
    came = await validator.once()
    typer.echo(came.detail)
    if came.outcome is Outcome.REFUSED:
        refused.append(came.detail)


def _address(text: str) -> Hotkey:
    from bittensor_core import Keypair

    try:
        return Hotkey(str(Keypair(ss58_address=text).ss58_address))
    except ValueError as error:
        raise Misused(f"--backend-key {text} is no SS58 address ({error}): {HOW_TO_PIN}") from error


def _endpoint(network: str) -> str:
    try:
        return endpoint_of(network)
    except ValueError as error:
        raise Misused(f"--network {network}: {error}") from error


def _chain(endpoints: list[str], netuid: int, keypair: Any) -> SubnetChain:
    try:
        return SubnetChain(endpoints, netuid, keypair)
    except ValueError as error:
        raise Misused(f"--chain-endpoint: {error}") from error
