"""Endpoints that only the backend can read: miners seal them for the public half of its X25519 key.

A sealed endpoint is 64 bytes in base85 (the alphabet of Python's `base64.b85encode`), so 80 characters:

    32 bytes   an ephemeral X25519 public key, made for this one text
    32 bytes   the 16 bytes of the deployment's UUID under ChaCha20-Poly1305, with its tag

The key is the raw shared secret, the nonce the first 12 bytes of the SHA-256 of the ephemeral public key; there is no
associated data. What was opened is a secret: it may stand in a task on the work queue, and nowhere else.

SealError
├── NotSealed       the text is not 64 bytes in base85
└── CannotOpen      sealed for another key, or altered

The library is imported where it is used: most programs neither seal nor open.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from uuid import UUID

from events.secret_file import SECRET_BYTES, SecretRefused, parse_secret, read_secret

KEY_BYTES = SECRET_BYTES
SEALED_BYTES = 64
SEALED_CHARS = 80
TITLE = "endpoint key"
"""What the private key is called in messages."""


class SealError(Exception):
    """The message says what is wrong with the text, and what the miner can do. It shows nothing secret."""


class NotSealed(SealError):
    """Not the form of a sealed endpoint."""


class CannotOpen(SealError):
    """The form is right, but this key does not open it."""


class EndpointKey:
    """The backend's key pair. Its representation shows the public half only."""

    def __init__(self, private: bytes) -> None:
        """Takes the 32 secret bytes.

        Raises:
            ValueError: they are not 32.
        """
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        self._private = X25519PrivateKey.from_private_bytes(private)
        self.public = self._private.public_key().public_bytes_raw()
        """32 bytes; what miners need."""

    def __repr__(self) -> str:
        return f"EndpointKey({self.public.hex()})"

    def open(self, sealed: str) -> UUID:
        """The deployment that was sealed.

        Raises:
            NotSealed, CannotOpen: this text, with this key.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        ephemeral, ciphertext = split_sealed(sealed)
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
            opened = ChaCha20Poly1305(shared).decrypt(_nonce(ephemeral), ciphertext, None)
        except (InvalidTag, ValueError) as error:  # ValueError: a point that gives the same secret with every key
            raise CannotOpen(
                "the endpoint was altered, or not sealed for this backend's key, whose public half is"
                f" {self.public.hex()}; seal the deployment's UUID for that key and commit again"
            ) from error
        return UUID(bytes=opened)


def seal(deployment: UUID, public: bytes) -> str:
    """The deployment, to be opened with the private half of `public` only; each call gives another text.

    Raises:
        ValueError: `public` is no X25519 public key of 32 bytes.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    key = X25519PrivateKey.generate()
    ephemeral = key.public_key().public_bytes_raw()
    shared = key.exchange(X25519PublicKey.from_public_bytes(public))
    ciphertext = ChaCha20Poly1305(shared).encrypt(_nonce(ephemeral), deployment.bytes, None)
    return base64.b85encode(ephemeral + ciphertext).decode("ascii")


def split_sealed(sealed: str) -> tuple[bytes, bytes]:
    """The ephemeral public key and the ciphertext with its tag, 32 bytes each.

    Raises:
        NotSealed: the text has another form.
    """
    if len(sealed) != SEALED_CHARS:
        raise NotSealed(
            f"the sealed endpoint has {len(sealed)} characters, expected {SEALED_CHARS}:"
            f" {SEALED_BYTES} bytes in base85; do not shorten it"
        )
    try:
        raw = base64.b85decode(sealed)
    except ValueError as error:
        raise NotSealed(
            f"the sealed endpoint is not base85 ({error}); use the alphabet of Python's base64.b85encode"
        ) from error
    return raw[:KEY_BYTES], raw[KEY_BYTES:]


def _nonce(ephemeral: bytes) -> bytes:
    """Used once, as the ephemeral key is."""
    return hashlib.sha256(ephemeral).digest()[:12]


def read_endpoint_key(path: Path) -> EndpointKey:
    """The key in this file: 32 bytes as hex.

    Raises:
        SecretRefused: there is no such file, or it is not fit to be used.
    """
    return _key(f"{TITLE} {path}", read_secret(path, TITLE))


def parse_endpoint_key(text: str, name: str) -> EndpointKey:
    """The key in a variable called `name`, as hex.

    Raises:
        SecretRefused: it is not 32 bytes as hex.
    """
    return _key(f"{TITLE} in {name}", parse_secret(f"{TITLE} in {name}", text.encode()))


def _key(named: str, private: bytes) -> EndpointKey:
    if len(private) != KEY_BYTES:
        remedy = "make one with `kinitro crypto generate-keypair`"
        raise SecretRefused(f"{named} has {len(private)} bytes, expected {KEY_BYTES}; {remedy}")
    return EndpointKey(private)
