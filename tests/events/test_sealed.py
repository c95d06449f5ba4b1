"""What was sealed for a key opens with that key, and with no other."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from events.sealed import TITLE, CannotOpen, EndpointKey, NotSealed, parse_endpoint_key, read_endpoint_key, seal
from events.secret_file import SecretRefused, create_secret

KEY = EndpointKey(bytes(range(32)))
OTHER = EndpointKey(bytes(range(1, 33)))
DEPLOYMENT = UUID("95edf2b6-e18b-400a-8398-5573df10e5e4")


@given(st.uuids())
def test_what_was_sealed_is_opened(deployment: UUID) -> None:
    assert KEY.open(seal(deployment, KEY.public)) == deployment


def test_a_seal_is_never_the_same_twice() -> None:
    assert seal(DEPLOYMENT, KEY.public) != seal(DEPLOYMENT, KEY.public)


def test_the_format_is_the_documented_one() -> None:
    """Made here from the description alone."""
    ephemeral = X25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
    public = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(KEY.public))
    nonce = hashlib.sha256(public).digest()[:12]
    raw = public + ChaCha20Poly1305(shared).encrypt(nonce, DEPLOYMENT.bytes, b"")
    assert len(raw) == 64
    assert KEY.open(base64.b85encode(raw).decode()) == DEPLOYMENT


def test_another_key_cannot_open() -> None:
    with pytest.raises(CannotOpen, match=f"public half is {OTHER.public.hex()}.*commit again"):
        OTHER.open(seal(DEPLOYMENT, KEY.public))


@given(place=st.integers(0, 511))
def test_no_bit_can_be_changed(place: int) -> None:
    raw = bytearray(base64.b85decode(seal(DEPLOYMENT, KEY.public)))
    raw[place // 8] ^= 1 << place % 8
    # The last bit of an X25519 key is ignored by the exchange; the nonce depends on it all the same.
    with pytest.raises(CannotOpen):
        KEY.open(base64.b85encode(raw).decode())


@pytest.mark.parametrize("ephemeral", [bytes(32), b"\x01" + bytes(31)])
def test_a_point_of_low_order_opens_nothing(ephemeral: bytes) -> None:
    with pytest.raises(CannotOpen):
        KEY.open(base64.b85encode(ephemeral + bytes(32)).decode())


@pytest.mark.parametrize("text", ["", "0" * 79, "0" * 81, "0" * 79 + '"', "~" * 80, "é" * 80])
def test_other_texts_are_not_sealed(text: str) -> None:
    with pytest.raises(NotSealed, match="the sealed endpoint"):
        KEY.open(text)


def test_a_key_shows_its_public_half_only() -> None:
    assert repr(KEY) == f"EndpointKey({KEY.public.hex()})"


def test_a_key_is_kept_in_a_file(tmp_path: Path) -> None:
    private = create_secret(tmp_path / "endpoint.key", TITLE)
    assert (tmp_path / "endpoint.key").stat().st_mode & 0o777 == 0o600
    assert read_endpoint_key(tmp_path / "endpoint.key").public == EndpointKey(private).public


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.key"
    private = create_secret(path, TITLE)
    with pytest.raises(SecretRefused, match="exists and is kept"):
        create_secret(path, TITLE)
    assert read_endpoint_key(path).public == EndpointKey(private).public
    assert [each.name for each in tmp_path.iterdir()] == ["endpoint.key"]


def test_a_key_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(SecretRefused, match="No such file"):
        read_endpoint_key(tmp_path / "endpoint.key")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("text", "reason"), [("zz", "not hex"), ("ab" * 31, "31 bytes"), ("ab" * 33, "33 bytes")])
def test_what_is_no_key_is_refused_without_showing_it(text: str, reason: str) -> None:
    with pytest.raises(SecretRefused, match=rf"endpoint key in VARIABLE .*{reason}") as refused:
        parse_endpoint_key(text, "VARIABLE")
    assert text not in str(refused.value)
