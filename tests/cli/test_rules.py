"""`kinitro rules`, as an operator uses it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from events.connection import connect
from events.jetstream import JetStreamLog
from events.streams import ensure_streams
from tests.cli.conftest import Command
from tests.controls import facts
from tests.fixtures.nats import NatsProcess
from tests.fixtures.projecting import write


@pytest.fixture
def url(nats_alone: NatsProcess) -> str:
    """Of a log with the plan of cycle 1."""
    asyncio.run(fill(nats_alone.url))
    return nats_alone.url


async def fill(url: str) -> None:
    async with await connect(url, "tests") as connection:
        await ensure_streams(connection)
        await write(JetStreamLog(connection), facts.planned(1))


def test_rules_are_announced_listed_and_shown(command: Command, url: str, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text("temperature = 2.5\n")
    arguments = ("--rules", "rules.toml", "--note", "a warmer softmax", "--nats-url", url)
    done = command("rules", "announce", "--from-cycle", "2", *arguments)
    assert done.status == 0, done.err
    assert "these rules count from cycle 2 on" in done.out
    listed = command("rules", "list", "--nats-url", url).out
    assert "to come" in listed
    assert "a warmer softmax" in listed
    assert "2.5" in command("rules", "show", "--nats-url", url).out
    refused = command("rules", "announce", "--from-cycle", "1", *arguments)
    assert refused.status == 2
    assert "the next possible is --from-cycle 3" in refused.err


def test_before_any_announcement_that_is_said(command: Command, url: str) -> None:
    assert "none was announced" in command("rules", "list", "--nats-url", url).out
    assert "cycle 1" in command("rules", "show", "--nats-url", url).out
