"""Key pairs as the chain's own tools keep them.

WalletRefused    there is no such hotkey, or it cannot be unlocked
"""

from __future__ import annotations

from typing import Any

from events.for_people import ForPeople

WALLETS = "~/.bittensor/wallets"


class WalletRefused(ForPeople):
    """There is no such hotkey, or it cannot be unlocked."""


def hotkey(wallet: str, name: str, path: str = WALLETS) -> Any:
    """The key pair of the SDK's wallet. An encrypted one asks for its password, or reads it from its own variable.

    Raises:
        WalletRefused: see the class.
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
