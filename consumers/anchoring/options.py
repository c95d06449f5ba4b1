"""Whether, where and how often history roots are anchored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from consumers.anchoring.chain import AnchorChain
from events.chain.networks import endpoint_of
from events.chain.wallets import WalletRefused, hotkey
from events.cli import Misused


@dataclass(frozen=True)
class AnchorOptions:
    """Nothing is anchored unless a wallet is named."""

    anchor_wallet: Annotated[
        str | None,
        typer.Option(
            envvar="KINITRO_BACKEND_ANCHOR_WALLET",
            help="Commit history roots to the chain with a hotkey of this one.",
        ),
    ] = None
    anchor_hotkey: Annotated[
        str,
        typer.Option(envvar="KINITRO_BACKEND_ANCHOR_HOTKEY", help="Its name; registered, and for nothing else."),
    ] = "default"
    anchor_interval: Annotated[
        int,
        typer.Option(envvar="KINITRO_BACKEND_ANCHOR_INTERVAL_CYCLES", min=1, help="Cycles from anchor to anchor."),
    ] = 1
    anchor_endpoint: Annotated[
        list[str] | None,
        typer.Option(
            envvar="KINITRO_BACKEND_ANCHOR_ENDPOINT",
            help="Node to anchor through; several are used in turn. --chain-endpoint, or the network's, when absent.",
        ),
    ] = None

    def chain(self, network: str, netuid: int | None, nodes: Sequence[str] | None = None) -> AnchorChain | None:
        """The commitment that anchors are written to; None where none are. `nodes`: those that miners are read from.

        Raises:
            Misused: the subnet, or where the chain is, is not said, or there is no such hotkey.
        """
        if self.anchor_wallet is None:
            return None
        if netuid is None:
            raise Misused("--anchor-wallet needs --netuid: on which subnet the hotkey is registered")
        try:
            return AnchorChain(
                self._endpoints(network, nodes), netuid, hotkey(self.anchor_wallet, self.anchor_hotkey)
            )
        except WalletRefused as error:
            raise Misused(f"--anchor-wallet and --anchor-hotkey: {error}") from error
        except ValueError as error:
            raise Misused(f"--anchor-endpoint: {error}") from error

    def _endpoints(self, network: str, nodes: Sequence[str] | None) -> Sequence[str]:
        if named := self.anchor_endpoint or nodes:
            return named
        try:
            return [endpoint_of(network)]
        except ValueError as error:
            raise Misused(f"--network {network}: {error}; or name nodes with --anchor-endpoint") from error
