"""`kinitro crypto`, and how the scheduler is given the key."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from events.sealed import EndpointKey
from tests.cli.conftest import Command

PRIVATE = "ab" * 32
PUBLIC = EndpointKey(bytes.fromhex(PRIVATE)).public.hex()


def test_a_key_pair_is_made_and_shown(command: Command, tmp_path: Path) -> None:
    made = command("crypto", "generate-keypair")
    assert made.status == 0
    assert re.fullmatch("[0-9a-f]{64}\n", made.out)
    assert (tmp_path / ".kinitro" / "endpoint.key").stat().st_mode & 0o777 == 0o600
    assert command("crypto", "show-public-key").out == made.out


def test_the_private_key_is_not_shown(command: Command, tmp_path: Path) -> None:
    made = command("crypto", "generate-keypair", "--out", "mine.key")
    private = (tmp_path / "mine.key").read_text().strip()
    shown = command("crypto", "show-public-key", "--private-key-file", "mine.key")
    assert shown.out == made.out
    assert private not in f"{made}{shown}"


def test_a_key_is_not_written_over(command: Command) -> None:
    made = command("crypto", "generate-keypair")
    again = command("crypto", "generate-keypair")
    assert again.status == 2
    assert "exists and is kept" in again.err
    assert command("crypto", "show-public-key").out == made.out


def test_the_key_may_be_a_variable(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "KINITRO_BACKEND_PRIVATE_KEY", PRIVATE)
    assert command("crypto", "show-public-key").out.strip() == PUBLIC


def test_without_a_key_there_is_nothing_to_show(command: Command) -> None:
    answer = command("crypto", "show-public-key")
    assert answer.status == 2
    assert "make one with `kinitro crypto generate-keypair`" in answer.err


@pytest.mark.parametrize("arguments", ["crypto show-public-key", "scheduler --network local --roster roster.toml"])
@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"KINITRO_BACKEND_PRIVATE_KEY": "ab"}, "endpoint key in KINITRO_BACKEND_PRIVATE_KEY has 1 bytes"),
        ({"KINITRO_BACKEND_PRIVATE_KEY": "not hex"}, "endpoint key in KINITRO_BACKEND_PRIVATE_KEY is not hex"),
        ({"KINITRO_BACKEND_PRIVATE_KEY_FILE": "nowhere.key"}, "nowhere.key: No such file"),
        ({"KINITRO_BACKEND_PRIVATE_KEY_FILE": "x", "KINITRO_BACKEND_PRIVATE_KEY": PRIVATE}, "two keys were given"),
    ],
)
@pytest.mark.usefixtures("roster")
def test_a_bad_key_is_refused_before_anything_starts(
    variables: dict[str, str], told: str, arguments: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setitem(os.environ, name, value)
    answer = command(*arguments.split())
    assert answer.status == 2
    assert told in answer.err
    assert len(answer.err.splitlines()) == 1


def test_help_does_not_offer_a_secret_on_the_command_line(command: Command) -> None:
    assert "--private-key " not in command("scheduler", "--help").out
