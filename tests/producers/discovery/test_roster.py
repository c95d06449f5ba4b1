"""A roster file: what is taken, and what is refused with file, line and reason."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from events.miners import Commitment
from producers.discovery.roster import PROBLEMS_MAX, RosterRefused, RosterSource, read_roster
from producers.discovery.source import RegisteredMiner
from tests.controls import facts
from tests.producers.driving import HandClock

MINER = {
    "hotkey": '"hotkey-0"',
    "uid": "0",
    "endpoint": '"http://127.0.0.1:9000"',
    "repo": '"user/policy-0"',
    "revision": '"0123abcd"',
    "committed_block": "10",
}


def table(**changes: str | None) -> str:
    """A `[[miner]]` table of 7 lines, with other values or, for None, without the key."""
    fields = {name: value for name, value in (MINER | changes).items() if value is not None}
    return "\n".join(["[[miner]]", *(f"{name} = {value}" for name, value in fields.items()), ""])


def other(**changes: str | None) -> str:
    return table(**({"hotkey": '"hotkey-1"', "uid": "1"} | changes))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "roster.toml"


def refused(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(RosterRefused) as error:
        read_roster(path)
    return str(error.value)


def test_miners_are_read_in_the_files_order(path: Path) -> None:
    path.write_text(other() + table())
    assert [(it.hotkey, it.uid) for it in read_roster(path)] == [("hotkey-1", 1), ("hotkey-0", 0)]


def test_a_miner_is_read_whole(path: Path) -> None:
    path.write_text(table())
    assert read_roster(path) == (
        RegisteredMiner(facts.hotkey(0), facts.discovered().uid, facts.commitment(block=10)),
    )


def test_an_explicitly_empty_roster_is_taken(path: Path) -> None:
    path.write_text("miner = []\n")
    assert read_roster(path) == ()


def test_an_empty_file_is_refused(path: Path) -> None:
    assert refused(path, "") == f"{path}: has no [[miner]] table; write `miner = []` for a roster without miners"


@pytest.mark.parametrize(
    ("changes", "line", "reason"),
    [
        ({"uid": "65536"}, 10, "uid is 65536: Input should be less than or equal to 65535"),
        ({"uid": "-1"}, 10, "uid is -1: Input should be greater than or equal to 0"),
        ({"uid": '"1"'}, 10, "uid is '1': Input should be a valid integer"),
        ({"uid": "true"}, 10, "uid is True: Input should be a valid integer"),
        ({"hotkey": '"a.b"'}, 9, "hotkey is 'a.b': 'a.b' is not 1 to 64 letters"),
        ({"endpoint": '"ftp://host"'}, 11, "not an http:// or https:// URL with a host"),
        ({"endpoint": '"127.0.0.1:9000"'}, 11, "not an http:// or https:// URL with a host"),
        ({"endpoint": '"http://"'}, 11, "not an http:// or https:// URL with a host"),
        ({"endpoint": '"http://host:99999"'}, 11, "not a URL: Port out of range"),
        ({"endpoint": '"http://[host"'}, 11, "not a URL: Invalid IPv6 URL"),
        ({"endpoint": '"http://user:pass@host"'}, 11, "it contains credentials, which would be published"),
        ({"endpoint": '"http://host/?x=1"'}, 11, "not a base URL"),
        ({"endpoint": f'"http://{"h" * 500}"'}, 11, "String should have at most 500 characters"),
        ({"repo": '"policy"'}, 12, "repo is 'policy': not user/name"),
        ({"revision": '""'}, 13, "revision is '': not a revision"),
        ({"committed_block": "-1"}, 14, "greater than or equal to 0"),
        ({"committed_block": "1.5"}, 14, "committed_block is 1.5: Input should be a valid integer"),
        ({"comitted_block": "1"}, 15, "has an unknown key 'comitted_block', expected hotkey, uid, endpoint"),
        ({"repo": None}, 8, "miner 'hotkey-1': has no repo; add it"),
    ],
)
def test_a_bad_value_is_refused_with_its_line(
    path: Path, changes: dict[str, str | None], line: int, reason: str
) -> None:
    message = refused(path, table() + other(**changes))
    assert message.startswith(f"{path}:{line}: miner ")
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("changes", "line", "reason"),
    [
        ({"uid": "0"}, 10, "uid 0 is taken by the miner at line 3; each needs its own"),
        ({"hotkey": '"hotkey-0"'}, 9, "hotkey hotkey-0 is taken by the miner at line 2; each needs its own"),
    ],
)
def test_a_duplicate_is_refused_with_both_lines(path: Path, changes: dict[str, str], line: int, reason: str) -> None:
    assert refused(path, table() + other(**changes)) == f"{path}:{line}: {reason}"


def test_all_problems_are_told_at_once(path: Path) -> None:
    message = refused(path, table(uid="-1", repo='"x"') + other(committed_block=None))
    assert [line.removeprefix(f"{path}:").split(":")[0] for line in message.split("\n")] == ["3", "5", "8"]


def test_very_many_problems_are_counted(path: Path) -> None:
    message = refused(path, "".join(table(hotkey=f'"h{n}"', uid=str(-1 - n)) for n in range(50)))
    assert len(message.split("\n")) == PROBLEMS_MAX + 1
    assert message.endswith(f"{path}: has 40 more problems")


def test_a_syntax_error_is_refused_with_its_line(path: Path) -> None:
    assert refused(path, table() + "uid = \n").startswith(f"{path}:8: not TOML: Invalid value")


def test_an_unknown_table_is_refused(path: Path) -> None:
    assert refused(path, table() + "[[minor]]\nuid = 1\n") == f"{path}:8: has an unknown key 'minor', expected miner"


@pytest.mark.parametrize(("text", "line"), [("miner = 3", 1), ("x = 1\nminer = [3]", 2)])
def test_miners_that_are_no_tables_are_refused(path: Path, text: str, line: int) -> None:
    assert f"{path}:{line}: miner" in refused(path, text)


def test_a_file_that_is_not_utf8_is_refused_with_its_line(path: Path) -> None:
    path.write_bytes(b"# fine\n# caf\xe9\n")
    with pytest.raises(RosterRefused, match=f"{path}:2: is not UTF-8"):
        read_roster(path)


def test_windows_line_ends_are_read(path: Path) -> None:
    path.write_bytes((table() + other(uid="-1")).replace("\n", "\r\n").encode())
    with pytest.raises(RosterRefused, match=f"{path}:10: "):
        read_roster(path)


def test_a_file_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(RosterRefused, match=f"{path}: cannot be read: No such file or directory; name a roster file"):
        read_roster(path)


async def test_the_source_follows_the_file(path: Path) -> None:
    source = RosterSource(path, HandClock().blocks())
    snapshots = []
    for revision in ("0123abcd", "4567cdef"):
        await asyncio.to_thread(path.write_text, table(revision=f'"{revision}"'))
        snapshots.append(await source.snapshot())
    assert [it.block for it in snapshots] == [50, 50]
    assert [it.miners[0].commitment.revision for it in snapshots] == ["0123abcd", "4567cdef"]


def test_the_commitment_is_what_the_file_says(path: Path) -> None:
    path.write_text(table(endpoint='"https://host/base"', committed_block="77"))
    assert read_roster(path)[0].commitment == Commitment(
        repo="user/policy-0", revision="0123abcd", endpoint="https://host/base", block=77
    )
