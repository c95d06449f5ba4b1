"""`kinitro events export` and `import`, as an operator of a mirror uses them."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from events.connection import connect
from events.export import check
from events.export_files import lines
from events.jetstream import JetStreamLog
from events.streams import ensure_streams
from tests.cli.conftest import Command
from tests.controls import facts
from tests.fixtures.nats import NatsProcess, running
from tests.fixtures.projecting import write


@pytest.fixture(scope="module")
def original() -> Iterator[str]:
    """The URL of a log that holds one cycle."""
    with running() as server:
        asyncio.run(fill(server.url))
        yield server.url


async def fill(url: str) -> None:
    async with await connect(url, "tests") as connection:
        await ensure_streams(connection)
        await write(JetStreamLog(connection), facts.discovered(), *facts.whole_cycle(1))


def test_a_log_goes_through_a_file_into_another(command: Command, original: str, nats_alone: NatsProcess) -> None:
    assert command("events", "export", "--nats-url", original, "--out", "a.ndjson").status == 0
    done = command("events", "import", "a.ndjson", "--nats-url", nats_alone.url)
    assert "13 appended, 0 were there; the log ends at sequence 13" in done.out
    again = command("events", "import", "a.ndjson", "--nats-url", nats_alone.url)
    assert "0 appended, 13 were there" in again.out
    command("events", "export", "--nats-url", nats_alone.url, "--out", "b.ndjson")
    assert Path("a.ndjson").read_bytes() == Path("b.ndjson").read_bytes()


def test_a_compressed_file_holds_the_same(command: Command, original: str) -> None:
    command("events", "export", "--nats-url", original, "--out", "a.ndjson")
    told = command("events", "export", "--nats-url", original, "--out", "a.ndjson.gz")
    assert "a.ndjson.gz: 13 events, sequences 1 to 13, root " in told.err
    assert gzip.decompress(Path("a.ndjson.gz").read_bytes()) == Path("a.ndjson").read_bytes()
    with Path("a.ndjson.gz").open("rb") as file:
        assert check(lines(file)).count == 13


def test_a_cycle_is_exported_alone(command: Command, original: str) -> None:
    assert (
        "12 events, sequences 2 to 13"
        in command("events", "export", "--nats-url", original, "--cycle", "1", "--out", "a.ndjson").err
    )


def test_a_broken_import_appends_nothing(command: Command, original: str, nats_alone: NatsProcess) -> None:
    command("events", "export", "--nats-url", original, "--out", "a.ndjson.gz")
    whole = Path("a.ndjson.gz").read_bytes()
    Path("cut.ndjson.gz").write_bytes(whole[:-200])
    refused = command("events", "import", "cut.ndjson.gz", "--nats-url", nats_alone.url)
    assert refused.status == 2
    assert "the compressed file is broken" in refused.err
    assert "there is no event 1; the log is empty" in command("events", "show", "1", "--nats-url", nats_alone.url).err


@pytest.mark.parametrize(
    ("arguments", "tells"),
    [
        ("export --out nowhere/a.ndjson", "nowhere/a.ndjson: No such file or directory"),
        ("export --out a --cycle 9", "there is no cycle 9"),
        ("export --out a --cycle 1 --after 3", "leave one of them out"),
        ("export --out a --api-url http://127.0.0.1:1", "correct --api-url"),
        ("import nowhere.ndjson", "nowhere.ndjson: No such file or directory"),
        ("import .", "Is a directory"),
        ("import /dev/null", "/dev/null: line 1: the export ends without a trailer after 0 events"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(command: Command, original: str, arguments: str, tells: str) -> None:
    answer = command("events", *arguments.split(), "--nats-url", original)
    assert answer.status == 2
    assert tells in answer.err
    assert len(answer.err.splitlines()) == 1
    assert list(Path().iterdir()) == [], "nothing is left behind"
