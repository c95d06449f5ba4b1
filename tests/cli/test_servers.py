"""Commands beside a running group, on one home: a cycle is run, looked at, projected and replayed."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from tests.cli.conftest import MINER, PROGRAM, Answer, Command, running
from tests.fixtures.ports import free_port

INTERRUPTED = 130
CYCLE = (
    *("--network", "local", "--environments", "metaworld/reach-v3", "--episodes-per-env", "2"),
    *("--observation-profile", "state/1", "--max-timesteps", "5", "--action-timeout-ms", "30000"),
)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Its servers are run by a projector; an executor and a policy run beside it; one cycle has ended."""
    with tempfile.TemporaryDirectory(prefix="kcli-") as name, ExitStack() as stack:
        home = Path(name)
        policy = stack.enter_context(running("policy", "serve", "random", "--port", "0"))
        stack.enter_context(running("--home", home, "projector"))
        _until_lag_is_known(home)
        stack.enter_context(running("--home", home, "executor", "--workers", "1", "--allow-private-endpoints"))
        (home / "roster.toml").write_text(MINER.format(endpoint=_line(policy.stdout).split()[-1]))
        ran = _ran("--home", home, "cycle", "run", "--roster", home / "roster.toml", *CYCLE)
        assert ran.status == 0, ran.err
        assert "cycle 1: 2 of 2 episodes" in ran.out
        yield home


def test_the_cycle_is_listed_and_shown(command: Command, home: Path) -> None:
    assert "weights" in command("--home", home, "cycle", "list").out
    shown = command("--home", home, "cycle", "show", "1").out
    assert "2 of 2 episodes" in shown
    assert "somebody" in shown


def test_an_unknown_cycle_or_event_is_refused(command: Command, home: Path) -> None:
    for arguments, tells in (
        (("cycle", "show", "99"), "there is no cycle 99; see `kinitro cycle list`"),
        (("events", "show", "99999"), "there is no event 99999; the log has sequences 1 to"),
        (("events", "show", "0"), "there is no event 0"),
        (("events", "show", "9" * 30), "there is no event 999"),
        (("events", "show", "evt.nothing"), "there is no event evt.nothing"),
    ):
        answer = command("--home", home, *arguments)
        assert (answer.status, len(answer.err.splitlines())) == (2, 1), answer
        assert tells in answer.err


def test_the_status_tells_totals_and_lags(command: Command, home: Path) -> None:
    while "  0" not in (status := command("--home", home, "db", "status")).out.splitlines()[-1]:
        assert status.status == 0
    told = {line[:24].strip(): line[24:].strip() for line in status.out.splitlines()[:6]}
    assert told["total cycles"] == "1"
    assert told["unique miners evaluated"] == "1"
    assert told["running cycle"] == "none"
    assert {"latest completed cycle", "latest weights"} < told.keys()
    rows = [line.split() for line in status.out.splitlines()[7:]]
    assert [row[0] for row in rows] == ["cycles", "episodes", "miners", "moments", "verifications", "weights"]


def test_the_api_joins_the_servers_that_others_run(home: Path) -> None:
    port = str(free_port())
    with running("--home", home, "api", "--host", "127.0.0.1", "--port", port):
        answer = _get(f"http://127.0.0.1:{port}/v1/status")
    assert answer["total_cycles"] == 1


def test_events_are_printed_as_lines_and_as_json(command: Command, home: Path) -> None:
    lines = command("--home", home, "events", "tail", "--no-follow", "--after", "0").out.splitlines()
    raw = command("--home", home, "events", "tail", "--no-follow", "--after", "0", "--json").out.splitlines()
    assert len(raw) == len(lines) > 5
    subjects = [json.loads(line)["subject"] for line in raw]
    assert [line.split()[-1] for line in lines] == subjects
    assert (
        json.loads(command("--home", home, "events", "show", "evt.cycle.1.plan", "--json").out)["data"]["cycle"] == 1
    )
    assert '"cycle": 1' in command("--home", home, "events", "show", "evt.cycle.1.plan").out


@pytest.mark.parametrize("arguments", ["", "--json", "--json --no-follow"])
def test_a_reader_that_has_seen_enough_is_no_error(home: Path, arguments: str) -> None:
    options = f"--after 0 {arguments}".split()
    with subprocess.Popen(
        [*PROGRAM, "--home", str(home), "events", "tail", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        tail.stdout.close()
        assert tail.stderr.read() == b""
        assert tail.wait(60) == 1


def test_following_ends_with_ctrl_c(home: Path) -> None:
    with running("--home", home, "events", "tail") as tail:
        _line(tail.stdout)
        tail.send_signal(signal.SIGINT)
        _, err = tail.communicate(timeout=60)
    assert (tail.returncode, err) == (0, "")


def test_ctrl_c_in_a_cycle_is_no_traceback(home: Path) -> None:
    hours = ("--episodes-per-env", "100000")
    with running("--home", home, "cycle", "run", "--roster", home / "roster.toml", *CYCLE, *hours) as cycle:
        assert "cycle 2: 0 of" in _line(cycle.stdout)
        cycle.send_signal(signal.SIGINT)
        _, err = cycle.communicate(timeout=60)
    assert cycle.returncode == INTERRUPTED
    assert err == ""


def test_ctrl_c_while_a_server_is_awaited_is_no_traceback() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        running("cycle", "list", "--nats-url", f"nats://127.0.0.1:{mute.getsockname()[1]}") as waiting,
    ):
        mute.accept()
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, out, err.strip()) == (INTERRUPTED, "", "")


def test_other_replicas_are_refused(command: Command, home: Path) -> None:
    answer = command("--home", home, "cycle", "list", "--replicas", "3")
    assert (answer.status, len(answer.err.splitlines())) == (2, 1)
    assert "num_replicas: expected 3, the stream has 1" in answer.err


def test_read_models_are_replayed(command: Command, home: Path) -> None:
    assert command("--home", home, "db", "create").out == "exists already\n"
    assert command("--home", home, "db", "init").out == "the tables are there\n"
    lines = command("--home", home, "replay").out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "cycles",
        "episodes",
        "miners",
        "moments",
        "verifications",
        "weights",
    ]
    assert all("identical to what was live" in line for line in lines)
    (line,) = command("--home", home, "replay", "cycles", "--from", "3").out.splitlines()
    assert line.startswith("cycles: from 3 to ")
    refused = command("--home", home, "replay", "--from", "1000000")
    assert (refused.status, len(refused.err.splitlines())) == (2, 1)
    assert "before 1000000" in refused.err


def test_keys_are_shown_and_rotated(command: Command, home: Path) -> None:
    shown = command("--home", home, "identity", "show").out
    first = next(line.split()[1] for line in shown.splitlines() if "in force" in line)
    rotated = command("--home", home, "identity", "rotate", "--new-key-file", home / "second.key")
    assert rotated.status == 0, rotated.err
    assert "now restart the scheduler with --signing-key-file" in " ".join(rotated.out.split())
    newest, older = command("--home", home, "identity", "show").out.splitlines()[1:]
    assert "in force" in newest
    assert first not in newest
    assert first in older
    assert "replaced" in older
    again = command("--home", home, "identity", "rotate", "--new-key-file", home / "third.key")
    assert (again.status, len(again.err.splitlines())) == (2, 1)
    assert f"signing key {first}" in again.err
    back = command(
        *("--home", home, "identity", "rotate", "--signing-key-file", home / "second.key"),
        *("--new-key-file", home / "signing.key"),
    )
    assert "was announced before" in back.err


def test_a_scheduler_with_a_key_that_was_replaced_is_refused(command: Command, home: Path) -> None:
    command("--home", home, "identity", "rotate", "--new-key-file", home / "second.key")
    answer = command("--home", home, "scheduler", "--roster", home / "roster.toml", *CYCLE)
    assert (answer.status, len(answer.err.splitlines())) == (2, 1)
    assert "kinitro identity rotate" in answer.err


def _ran(*arguments: str | Path) -> Answer:
    done = subprocess.run([*PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False)
    return Answer(done.returncode, done.stdout, done.stderr)


def _until_lag_is_known(home: Path) -> None:
    """The projector has made its tables."""
    while "none     0" in (status := _ran("--home", home, "db", "status")).out or status.status != 0:
        pass  # the time-out of the test ends this


def _line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


def _get(url: str) -> dict[str, object]:
    while True:
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                found: dict[str, object] = json.load(answer)
                return found
        except ConnectionError:
            continue
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
