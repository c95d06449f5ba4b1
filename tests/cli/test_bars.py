"""Bars of long commands are on the terminal alone, and leave it as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from events.connection import connect
from events.jetstream import JetStreamLog
from events.streams import ensure_streams
from tests.cli.conftest import Command
from tests.controls.cycles import large_cycle
from tests.fixtures.nats import NatsProcess, running
from tests.fixtures.projecting import write
from tests.fixtures.terminals import SHOW_CURSOR, terminal

EVENTS = large_cycle(1, miners=20, environments=4, episodes=10)


@pytest.fixture(scope="module")
def log() -> Iterator[str]:
    with running() as server:
        asyncio.run(fill(server.url))
        yield server.url


async def fill(url: str) -> None:
    async with await connect(url, "tests") as connection:
        await ensure_streams(connection)
        await write(JetStreamLog(connection), *EVENTS)


def test_an_export_and_its_import_show_how_far_they_are(log: str, nats_alone: NatsProcess, tmp_path: Path) -> None:
    file, all_of_them = str(tmp_path / "log.ndjson"), f"{len(EVENTS):,} of {len(EVENTS):,}"
    with terminal("events", "export", "--nats-url", log, "--out", file, width=120) as it:
        it.until(all_of_them)
        assert it.ends() == 0
        assert it.settings == it.before
        assert it.raw.endswith("\n")
        assert SHOW_CURSOR in it.raw
    with terminal("events", "import", "--nats-url", nats_alone.url, file, width=120) as it:
        it.until(all_of_them)
        assert it.ends() == 0


def test_into_a_terminal_an_export_shows_events_alone(log: str) -> None:
    with terminal("events", "export", "--nats-url", log, "--out", "-", width=120) as it:
        assert it.ends() == 0
        assert SHOW_CURSOR not in it.raw


def test_elsewhere_there_is_nothing_but_the_answer(command: Command, log: str) -> None:
    exported = command("events", "export", "--nats-url", log, "--out", "log.ndjson")
    assert (exported.out, exported.err.count("\n")) == ("", 1)
    compared = command("compare", "1", "0", "1", "--file", "log.ndjson", "--json")
    assert (compared.out[0], compared.err) == ("{", "")
