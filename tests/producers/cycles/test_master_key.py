"""The master key's file."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from events.secret_file import SecretRefused
from producers.cycles.master_key import read_or_create_master_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "master.key"


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_new_key_has_32_bytes_and_is_ours_alone(path: Path) -> None:
    assert len(read_or_create_master_key(path)) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_key_is_kept(path: Path) -> None:
    assert read_or_create_master_key(path) == read_or_create_master_key(path)


def test_nothing_else_is_left_beside_it(path: Path) -> None:
    read_or_create_master_key(path)
    assert list(path.parent.iterdir()) == [path]


def test_keys_differ(tmp_path: Path) -> None:
    assert read_or_create_master_key(tmp_path / "a") != read_or_create_master_key(tmp_path / "b")


async def test_creators_at_once_agree_on_one_key(path: Path) -> None:
    keys = await asyncio.gather(*(asyncio.to_thread(read_or_create_master_key, path) for _ in range(16)))
    assert len(set(keys)) == 1


def test_a_key_written_by_hand_is_read(path: Path) -> None:
    written(path, "ab" * 40 + "\n")
    assert read_or_create_master_key(path) == b"\xab" * 40


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    written(path, "ab" * 32, mode)
    with pytest.raises(SecretRefused, match=f"has mode {mode:04o}: others may read it; run chmod 600 {path}"):
        read_or_create_master_key(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("ab" * 31, "has 31 bytes, expected at least 32"), ("", "has 0 bytes"), ("key!", "is not hex")],
)
def test_a_bad_key_is_refused_with_a_remedy(path: Path, text: str, reason: str) -> None:
    written(path, text)
    with pytest.raises(SecretRefused, match=f"{reason}.*openssl rand -hex 32"):
        read_or_create_master_key(path)


def test_a_directory_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretRefused, match="choose a file that this user may read and write"):
        read_or_create_master_key(tmp_path)
