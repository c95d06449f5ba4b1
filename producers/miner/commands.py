"""`kinitro miner commit|show`: what a miner has on the chain, and how the backend reads it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from events.chain import wallets
from events.chain.networks import endpoint_of
from events.chain.submission import Fate
from events.cli import FAILED, Misused, options, run_once
from events.ids import Hotkey
from producers.discovery.commitments import BYTES_MAX
from producers.miner.backend import line, newest_entries
from producers.miner.chain import Committing, MinerChain
from producers.miner.reading import Reading, lines
from producers.miner.writing import text_to_commit

T = TypeVar("T")

Netuid = Annotated[int, typer.Option(envvar="KINITRO_MINER_NETUID", min=0, max=65535, help="The subnet's number.")]


@dataclass(frozen=True)
class NodeOptions:
    """Where the chain is read and written."""

    network: Annotated[
        str, typer.Option(envvar="KINITRO_MINER_NETWORK", help="finney, test, local, or a node's URL.")
    ] = "finney"
    chain_endpoint: Annotated[
        str | None,
        typer.Option(
            envvar="KINITRO_MINER_CHAIN_ENDPOINT", help="Nodes instead of the network's, in turn; comma-separated."
        ),
    ] = None

    def chain(self, netuid: int) -> MinerChain:
        """Not connected yet.

        Raises:
            Misused: no such network, or no URL of a node.
        """
        try:
            named = self.chain_endpoint or endpoint_of(self.network)
            return MinerChain([each.strip() for each in named.split(",")], netuid)
        except ValueError as error:
            raise Misused(f"--network or --chain-endpoint: {error}") from error


@dataclass(frozen=True)
class WalletOptions:
    """Whose hotkey."""

    wallet_name: Annotated[
        str, typer.Option(envvar="KINITRO_MINER_WALLET_NAME", help="In the directory of wallets.")
    ] = "default"
    hotkey_name: Annotated[str, typer.Option(envvar="KINITRO_MINER_HOTKEY_NAME", help="Of this wallet.")] = "default"
    wallet_path: Annotated[
        str, typer.Option(envvar="KINITRO_MINER_WALLET_PATH", help="The directory of wallets.")
    ] = wallets.WALLETS

    def keypair(self) -> Any:
        """Of the hotkey.

        Raises:
            WalletRefused: it cannot be had.
        """
        return wallets.hotkey(self.wallet_name, self.hotkey_name, self.wallet_path)


miner = typer.Typer(help="For miners: commit to a policy, and try its server before the backend does.")


@miner.callback()
def _miner() -> None:
    """For miners: commit to a policy, and try its server before the backend does."""


@miner.command()
@options
def commit(
    repo: Annotated[str, typer.Option(help="Hugging Face repository, user/name.")],
    revision: Annotated[str, typer.Option(help="The beginning of its commit's hash, 8 to 40 hex digits.")],
    deployment: Annotated[str, typer.Option(help="Base URL of the policy server, or a deployment's id.")],
    netuid: Netuid,
    node: NodeOptions,
    wallet: WalletOptions,
    encrypt_for: Annotated[
        str | None, typer.Option(help="The backend's public key, as hex: only it can read the deployment then.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, and send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Write a commitment to the chain, and show how the backend will read it."""
    text = text_to_commit(repo, revision, deployment, encrypt_for)
    keypair = wallet.keypair()
    before = _done(node.chain(netuid), lambda chain: chain.read(Hotkey(str(keypair.ss58_address))))
    if _is_to_be_sent(text, before, dry_run=dry_run, yes=yes):
        typer.echo("sending it, and waiting until it is finalized: half a minute, as a rule")
        _tell(_done(node.chain(netuid), lambda chain: chain.commit(text, keypair)))


@miner.command()
@options
def show(
    netuid: Netuid,
    node: NodeOptions,
    wallet: WalletOptions,
    hotkey: Annotated[str | None, typer.Argument(help="Its SS58 address; the wallet's own when absent.")] = None,
    backend_url: Annotated[
        str | None, typer.Option(envvar="KINITRO_MINER_BACKEND_URL", help="Ask this backend's API as well.")
    ] = None,
) -> None:
    """Show what a hotkey has committed, and how the backend reads it; status 1 where it is not evaluated."""
    address = _address(hotkey) if hotkey else Hotkey(str(wallet.keypair().ss58_address))
    reading = _done(node.chain(netuid), lambda chain: chain.read(address))
    typer.echo("\n".join(lines(reading)))
    if backend_url:
        run_once(lambda: _show_entries(backend_url, address))
    if not reading.accepted:
        raise typer.Exit(FAILED)


def _address(text: str) -> Hotkey:
    from bittensor_core import Keypair

    try:
        return Hotkey(str(Keypair(ss58_address=text).ss58_address))
    except ValueError as error:
        raise Misused(f"{text:.60} is no SS58 address ({error}); it begins with 5 and has 48 characters") from error


async def _show_entries(backend_url: str, hotkey: Hotkey) -> None:
    entries = await newest_entries(backend_url, hotkey)
    typer.echo(f"{backend_url} says, the newest first:" if entries else f"{backend_url} does not know it yet")
    for entry in entries:
        typer.echo(f"  {line(entry)}")


def _done(chain: MinerChain, action: Callable[[MinerChain], Awaitable[T]]) -> T:
    came: list[T] = []

    async def main() -> None:
        try:
            came.append(await action(chain))
        finally:
            await chain.close()

    run_once(main)
    return came[0]


def _is_to_be_sent(text: str, before: Reading, *, dry_run: bool, yes: bool) -> bool:
    """Shows what would happen, and asks.

    Raises:
        Misused: the hotkey may not commit.
        typer.Abort: it is not to be sent.
    """
    typer.echo("\n".join(lines(before)))
    if before.uid is None:
        raise Misused("only a registered hotkey may commit")
    if before.holds(text):
        typer.echo("this is committed already; nothing is sent, for a newer block would make it a later one")
        return False
    typer.echo(f"to be committed, {len(text)} of the {BYTES_MAX} bytes of a Raw field:\n  {text}")
    if dry_run:
        typer.echo("nothing is sent: --dry-run")
        return False
    if not yes:
        typer.confirm(
            "Send it? Its block decides who was earlier, and what was committed before is gone.", abort=True
        )
    return True


def _tell(came: Committing) -> None:
    """Raises typer.Exit where it is not on the chain."""
    match came.fate:
        case Fate.FINALIZED:
            assert came.reading is not None
            typer.echo("\n".join(["finalized:", *lines(came.reading)]))
            return
        case Fate.REFUSED:
            typer.echo(f"not committed: {came.detail}", err=True)
        case Fate.UNKNOWN:
            typer.echo(
                f"it is not known whether it was committed: {came.detail}; look with `kinitro miner show` before you"
                " commit again",
                err=True,
            )
    raise typer.Exit(FAILED)
