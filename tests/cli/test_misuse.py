"""What people can mend is told in one line, with status 2 and without a traceback."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Answer, Command

UNREACHABLE_S_MAX = 60
"""Ten seconds of patience, and the start of three processes on a busy machine."""


def assert_refused(answer: Answer, *tells: str) -> None:
    assert answer.status == 2
    assert len(answer.err.splitlines()) == 1, answer.err
    assert answer.err.startswith("kinitro: ")
    for part in tells:
        assert part in answer.err


@pytest.mark.parametrize(
    ("arguments", "tells"),
    [
        ("nosuch", "No such command 'nosuch'. (see kinitro --help)"),
        ("api --nosuch", "No such option: --nosuch (see kinitro api --help)"),
        ("api --port 0", "'--port'"),
        ("api --port 70000", "'--port'"),
        ("api --port high", "'--port'"),
        ("api --log-level LOUD", "'LOUD' is not one of"),
        ("api --host nowhere.invalid", "choose another --host"),
        ("audit episode nonsense", "is not cycle.uid.family.task.index"),
        ("audit episode 1.0.metaworld.push-v3.0 --api-url http://127.0.0.1:1", "is --api-url right?"),
        ("episode render nonsense --out film.mp4", "is not cycle.uid.family.task.index"),
        ("episode render 1.0.metaworld.push-v3.0", "Missing option '--out'"),
        ("episode render 1.0.metaworld.push-v3.0 --out film.gif", "ends in .mp4 or .png"),
        ("episode render 1.0.metaworld.push-v3.0 --out nowhere/film.mp4", "there is no directory"),
        ("executor --trace-age-hours 0", "'--trace-age-hours'"),
        ("cycle list --nats-url foo", "nats://host:port"),
        ("cycle list --nats-url nats://somewhere:99999", "nats://host:port"),
        ("scheduler --roster r --chain-endpoint ws://n:1 --netuid 7", "a chain (ws://n:1), not from both: leave out"),
        ("scheduler --chain-endpoint ws://n:1", "a subnet of a chain with --netuid or KINITRO_BACKEND_NETUID"),
        ("scheduler --netuid 7 --network mine", "with --chain-endpoint or KINITRO_BACKEND_CHAIN_ENDPOINT"),
        ("scheduler --netuid 7 --chain-endpoint http://n", "http://n is no ws:// or wss:// URL with a host"),
        ("scheduler --roster r --webhook-url ftp://somewhere", "--webhook-url, number 1: not an http or https URL"),
        ("executor --live-detail everything", "'everything' is not one of"),
        ("cycle show one", "(see kinitro cycle show --help)"),
        ("db status --database-url mysql://somewhere/k", "postgresql://user:password@host:port/database"),
        ("db create --database-url postgresql://u@h:abc/k", "postgresql://user:password@host:port/database"),
        ("db create --database-url postgresql://u@[h/k", "postgresql://user:password@host:port/database"),
        ("db create --database-url postgresql://u@127.0.0.1:1/k", "start it"),
        ("replay nosuch", "there are cycles, episodes, miners, moments, verifications, weights"),
        ("replay --from -1", "'--from'"),
        ("replay --force --from 7", "leave out --from"),
        ("events tail --subject=", "--subject"),
        ("policy serve", "expert, noisy, random"),
        ("policy serve magic", "'magic'"),
        ("policy serve random --host 192.0.2.1", "choose another --host or --port"),
        ("scheduler", "--roster"),
    ],
)
def test_a_wrong_option_is_refused(command: Command, arguments: str, tells: str) -> None:
    assert_refused(command(*arguments.split()), tells)


@pytest.mark.parametrize(
    ("arguments", "tells"),
    [
        ("--network finney --observation-profile state/1", "refused on network 'finney'"),
        ("--observation-profile foo/1", "there are rgb84/1, state/1"),
        ("--variation standard/9", "--variation: 'standard/9' does not exist; there are none, standard/1"),
        ("--environments metaworld/rech-v3", "did you mean metaworld/reach-v3"),
        ("--environments reach", "family/task"),
        ("--environments metaworld/push-v3,metaworld/push-v3", "named twice"),
        ("--epsilon-min high", "'high' is not a decimal number"),
        ("--epsilon-min NaN", "--epsilon-min"),
        ("--epsilon-min 0.5 --epsilon-max 0.1", "epsilon_min 0.5 is above epsilon_max 0.1"),
        ("--pareto-temperature 0", "--pareto-temperature"),
        ("--verification --verification-rate 1.5", "expected a number from 0 to 1, got 1.5"),
        ("--verification --verification-tolerance 0", "--verification-tolerance"),
        ("--network=", "--network"),
    ],
)
def test_a_cycle_that_cannot_be_planned_is_refused(
    command: Command, roster: Path, arguments: str, tells: str
) -> None:
    assert_refused(command("scheduler", "--network", "local", "--roster", roster, *arguments.split()), tells)


@pytest.mark.parametrize(
    ("text", "tells"),
    [
        (None, "roster.toml: cannot be read: No such file or directory"),
        ("miner = []\nminer = []\n", "roster.toml:2: not TOML"),
        ("miner = []\nmimer = 1\n", "roster.toml:2: has an unknown key 'mimer'"),
    ],
)
def test_a_bad_roster_is_refused_with_file_and_line(
    command: Command, tmp_path: Path, text: str | None, tells: str
) -> None:
    if text is not None:
        (tmp_path / "roster.toml").write_text(text)
    assert_refused(command("backend", "--network", "local", "--roster", "roster.toml"), tells)


def test_a_master_key_that_others_may_read_is_refused(command: Command, roster: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("00" * 32)
    key.chmod(0o644)
    answer = command("scheduler", "--network", "local", "--roster", roster, "--master-key-file", key)
    assert_refused(answer, "mode 0644", f"chmod 600 {key}")


@pytest.mark.parametrize("name", ["backend", "scheduler", "cycle run"])
def test_a_signing_key_that_others_may_read_is_refused(
    command: Command, roster: Path, tmp_path: Path, name: str
) -> None:
    key = tmp_path / "key"
    key.write_text("00" * 32)
    key.chmod(0o644)
    answer = command(*name.split(), "--network", "local", "--roster", roster, "--signing-key-file", key)
    assert_refused(answer, f"signing key {key} has mode 0644", f"chmod 600 {key}")


def test_a_key_that_is_not_there_cannot_announce_another(command: Command, tmp_path: Path) -> None:
    answer = command("identity", "rotate", "--new-key-file", tmp_path / "new.key")
    assert_refused(answer, "signing.key: there is no such file", "--signing-key-file")
    assert not (tmp_path / "new.key").exists()


def test_a_home_that_is_a_file_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    for arguments in (("cycle", "list"), ("db", "create"), ("demo",)):
        assert_refused(command("--home", "home", *arguments), "--home")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_is_not_writable_is_refused(command: Command, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert_refused(command("cycle", "list"), "--home")


@pytest.mark.parametrize(
    "arguments", ["api", "backend --network local --roster roster.toml", "demo", "policy serve random"]
)
def test_a_port_in_use_is_refused(command: Command, roster: Path, arguments: str, tmp_path: Path) -> None:
    assert roster.exists()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        host = () if arguments == "demo" else ("--host", "127.0.0.1")
        assert_refused(command(*arguments.split(), *host, "--port", port), port, "choose another", "--port")
    assert not (tmp_path / ".kinitro" / "nats").exists(), "servers were started for nothing"


def test_a_nats_server_that_does_not_answer_is_told_once(tmp_path: Path) -> None:
    commands = (("cycle", "list"), ("executor", "--workers", "2"), ("events", "tail"))
    children = [
        subprocess.Popen(
            [*PROGRAM, *arguments, "--nats-url", "nats://u:secret@127.0.0.1:1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        for arguments in commands
    ]
    for child in children:
        out, err = child.communicate(timeout=UNREACHABLE_S_MAX)
        assert_refused(Answer(child.returncode, out, err), "no NATS server at 127.0.0.1:1", "--nats-url")
        assert "secret" not in err


@pytest.mark.parametrize("arguments", ["", "db", "cycle", "events", "policy", "env"])
def test_without_a_command_the_help_is_shown(command: Command, arguments: str) -> None:
    answer = command(*arguments.split())
    assert answer.status == 2
    assert f"Usage: kinitro {arguments}".strip() in answer.out
    assert not answer.err
