"""A role that is told to stop while it still waits for a server: it ends at once, and well."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from tests.cli.conftest import MINER, running
from tests.fixtures.ports import free_port

AT_ONCE_S = 5.0
"""Half of what a role waits for a server that says nothing; the interpreter has to end in it, too."""
ROLES = ("executor", "worker", "verifier", "projector", "api", "scheduler")


@pytest.mark.parametrize(
    ("role", "number"), [("executor", signal.SIGINT), *((role, signal.SIGTERM) for role in ROLES)]
)
def test_while_nats_says_nothing(role: str, number: signal.Signals, tmp_path: Path) -> None:
    roster = tmp_path / "roster.toml"
    roster.write_text(MINER.format(endpoint="http://127.0.0.1:9"))
    more = {
        "projector": ("--database-url", "postgresql://nobody@127.0.0.1:9/nowhere"),
        "api": ("--database-url", "postgresql://nobody@127.0.0.1:9/nowhere", "--port", str(free_port())),
        "scheduler": ("--network", "local", "--roster", roster),
    }
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        url = f"nats://127.0.0.1:{silent.getsockname()[1]}"
        with running("--home", tmp_path, role, "--nats-url", url, *more.get(role, ())) as process:
            taken, _ = silent.accept()
            with taken:
                process.send_signal(number)
                _, errors = process.communicate(timeout=AT_ONCE_S)
    assert (process.returncode, errors) == (0, "")
