"""`kinitro miner verify-endpoint|init` as people use them."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Command
from tests.fixtures.ports import free_port

QUICK = ("--env", "control/cart-pole-balance-v1", "--observation-profile", "state/1", "--allow-private-endpoints")


def test_an_endpoint_that_fails_comes_with_code_and_remedy(command: Command) -> None:
    answer = command("miner", "verify-endpoint", f"http://127.0.0.1:{free_port()}", *QUICK)

    assert answer.status == 1
    for part in ("reset", "failed", "unreachable: no connection", "-> start the server", "an evaluation would fail"):
        assert part in answer.out


def test_an_environment_that_does_not_exist_is_misuse(command: Command) -> None:
    answer = command("miner", "verify-endpoint", "http://127.0.0.1:9", "--env", "metaworld/reach")

    assert answer.status == 2
    assert "did you mean metaworld/reach-v3" in answer.err


def test_init_names_what_it_wrote(command: Command, tmp_path: Path) -> None:
    answer = command("miner", "init", "mine")

    assert answer.status == 0
    assert {str(path.relative_to(tmp_path)) for path in (tmp_path / "mine").iterdir()} < set(answer.out.split())


def test_init_does_not_touch_what_is_there(command: Command, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    answer = command("miner", "init", ".")

    assert answer.status == 2
    assert "notes.txt among them" in answer.err
