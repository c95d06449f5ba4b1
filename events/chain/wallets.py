"""Who signs, and at which nodes: what commands that write to the chain are told, in the SDK's terms.

WalletRefused    there is no such hotkey, or it cannot be unlocked
"""

from __future__ import annotations

from typing import Any

from events.for_people import ForPeople

WALLETS = "~/.bittensor/wallets"


class WalletRefused(ForPeople):
    """There is no such hotkey, or it cannot be unlocked."""


def endpoint_of(network: str) -> str:
    """The node behind a name (`finney`, `test`, `local`), or the URL itself.

    Raises:
        ValueError: neither a name nor a URL.
    """
    from bittensor.settings import resolve_endpoint

    return resolve_endpoint(network)[1]


def hotkey_pair(wallet: str, name: str, path: str = WALLETS) -> Any:
    """The hotkey's key pair. One with a password asks for it, or takes it from the SDK's own variable.

    Raises:
        WalletRefused
    """
    import bittensor as bt
    from bittensor.keyfiles import KeyfileError, WrongPasswordError

    try:
        return bt.Wallet(wallet, name, path=path).hotkey
    except (KeyfileError, WrongPasswordError, OSError, ValueError) as error:
        raise WalletRefused(
            f"hotkey {name} of wallet {wallet} in {path}: {error}; name one with --wallet-name and --hotkey-name, or"
            " make one with `btcli wallet new-hotkey`"
        ) from error
