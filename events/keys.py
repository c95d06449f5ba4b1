"""The backend's hotkey: an sr25519 key pair, whose public half is named in SS58.

The library is imported where it is used: most programs read events and never sign or check any.
"""

from __future__ import annotations

from pathlib import Path

from events.ids import Hotkey
from events.secret_file import SECRET_BYTES, SecretRefused, read_or_create_secret
from events.signed import Signature


class SigningKey:
    """A key pair. Its representation shows the public half only."""

    def __init__(self, seed: bytes) -> None:
        """Takes the 32 secret bytes.

        Raises:
            ValueError: they are not 32.
        """
        from bittensor_core import Keypair

        self._pair = Keypair.create_from_seed(seed)
        self.address = Hotkey(self._pair.ss58_address)

    def __repr__(self) -> str:
        return f"SigningKey({self.address})"

    def sign(self, message: bytes) -> Signature:
        """A signature over these bytes; each call gives another one."""
        return Signature(key=self.address, signature=self._pair.sign(message).hex())


def is_signed(message: bytes, signature: Signature) -> bool:
    """Whether the key named in `signature` has signed exactly these bytes."""
    from bittensor_core import verify

    try:
        return bool(verify(message, bytes.fromhex(signature.signature), signature.key))
    except ValueError:  # the key is no SS58 address
        return False


def is_address(text: str) -> bool:
    """Whether this is the SS58 address of a key, of whatever network."""
    from bittensor_core import decode_ss58

    try:
        decode_ss58(text)
    except ValueError:
        return False
    return True


def read_or_create_signing_key(path: Path) -> SigningKey:
    """The key of this file: 32 bytes as hex; where there is no file, of a new one.

    Raises:
        SecretRefused: the file is not fit to be used.
    """
    seed = read_or_create_secret(path, "signing key")
    if len(seed) != SECRET_BYTES:
        raise SecretRefused(
            f"signing key {path} has {len(seed)} bytes, expected {SECRET_BYTES}: write {SECRET_BYTES} random bytes"
            f" as hex (openssl rand -hex {SECRET_BYTES})"
        )
    return SigningKey(seed)
