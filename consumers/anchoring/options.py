"""Whether, where and how often history roots are anchored."""

from __future__ import annotations

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
        str | None,
        typer.Option(
            envvar="KINITRO_BACKEND_ANCHOR_ENDPOINT", help="Nodes, comma-separated; the network's own when absent."
        ),
    ] = None

    def chain(self, network: str, netuid: int | None) -> AnchorChain | None:
        """The commitment that anchors are written to; None where none are.

        Raises:
            Misused: the subnet, or where the chain is, is not said, or there is no such hotkey.
        """
        if self.anchor_wallet is None:
            return None
        if netuid is None:
            raise Misused("--anchor-wallet needs --netuid: on which subnet the hotkey is registered")
        try:
            return AnchorChain(self._endpoints(network), netuid, hotkey(self.anchor_wallet, self.anchor_hotkey))
        except WalletRefused as error:
            raise Misused(f"--anchor-wallet and --anchor-hotkey: {error}") from error
        except ValueError as error:
            raise Misused(f"--anchor-endpoint: {error}") from error

    def _endpoints(self, network: str) -> list[str]:
        if self.anchor_endpoint is not None:
            return [each.strip() for each in self.anchor_endpoint.split(",") if each.strip()]
        try:
            return [endpoint_of(network)]
        except ValueError as error:
            raise Misused(f"--network {network}: {error}; or name nodes with --anchor-endpoint") from error
