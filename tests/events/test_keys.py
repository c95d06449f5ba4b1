"""The signing key's file. What all secrets have in common is tested with the master key."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from events.keys import SigningKey, read_or_create_signing_key
from events.secret_file import SecretRefused


def test_a_new_key_is_kept_and_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    key = read_or_create_signing_key(path)
    assert read_or_create_signing_key(path).address == key.address
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_of_another_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    path.touch(mode=0o600)
    path.write_text("ab" * 40)
    with pytest.raises(SecretRefused, match=r"signing key .* has 40 bytes, expected 32"):
        read_or_create_signing_key(path)


def test_a_known_seed_has_its_known_address() -> None:
    """So that other implementations of sr25519 and SS58 agree with ours."""
    assert SigningKey(bytes(32)).address == "5H728gLgx4yuCSVEwGCAfLo3RtzTau9F6cTNqNJtrqqjACWq"
