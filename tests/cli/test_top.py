"""`kinitro top` in a terminal: a cycle filling up, keys, and the terminal as it was before, however it ends."""

from __future__ import annotations

import asyncio
import signal

import pytest

from events.connection import connect
from events.event import Event
from events.jetstream import JetStreamLog
from events.log import Draft
from events.streams import ensure_streams
from tests.cli.conftest import running
from tests.controls.cycles import large_cycle
from tests.fixtures.nats import NatsProcess
from tests.fixtures.projecting import write
from tests.fixtures.terminals import OTHER_SCREEN, OWN_SCREEN, SHOW_CURSOR, Terminal, terminal

CYCLE = large_cycle(1, miners=60, environments=2, episodes=2)
HALF = len(CYCLE) // 2


async def _append(url: str, events: list[Event]) -> None:
    async with await connect(url, "tests") as connection:
        await ensure_streams(connection)
        await write(JetStreamLog(connection), *events)


def append(server: NatsProcess, events: list[Event]) -> None:
    asyncio.run(_append(server.url, events))


def assert_given_back(it: Terminal) -> None:
    assert it.settings == it.before
    assert it.raw.rfind(OWN_SCREEN) > it.raw.rfind(OTHER_SCREEN)
    assert SHOW_CURSOR in it.raw[it.raw.rfind(OTHER_SCREEN) :]


def test_a_cycle_fills_up_gets_its_weights_and_the_next_begins(nats_alone: NatsProcess) -> None:
    append(nats_alone, CYCLE[:HALF])
    with terminal("top", "--nats-url", nats_alone.url) as it:
        it.until("cycle 1 running")
        append(nats_alone, CYCLE[HALF:])
        at = it.until("cycle 1 weights computed")
        it.until("240 of 240 episodes", after=at)
        append(nats_alone, large_cycle(2, miners=3)[:20])
        it.until("cycle 2 running", after=at)


def test_it_goes_on_where_it_was_after_the_server_was_away(nats_alone: NatsProcess) -> None:
    append(nats_alone, CYCLE[:HALF])
    with terminal("top", "--nats-url", nats_alone.url) as it:
        it.until("cycle 1 running")
        nats_alone.kill()
        at = it.until("no connection to the log at")
        nats_alone.start()
        append(nats_alone, CYCLE[HALF:])
        it.until("240 of 240 episodes", after=at)


def test_keys_turn_the_pages_and_quit(nats_alone: NatsProcess) -> None:
    append(nats_alone, CYCLE)
    with terminal("top", "--nats-url", nats_alone.url, height=24) as it:
        at = it.until("miners 1 to ")
        it.press(b"\x1b[B")
        at = it.until("miners 2 to ", after=at)
        it.press(b"\x1b[F")
        at = it.until(" to 60 of 60", after=at)
        it.press(b"\x1b[5~\x1b[H")
        it.until("miners 1 to ", after=at)
        it.press(b"q")
        assert it.ends() == 0
        assert_given_back(it)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_gives_the_terminal_back(nats_alone: NatsProcess, number: signal.Signals) -> None:
    append(nats_alone, CYCLE)
    with terminal("top", "--nats-url", nats_alone.url) as it:
        it.until("q quits")
        it.process.send_signal(number)
        assert it.ends() == 0
        assert_given_back(it)


def test_control_z_gives_the_terminal_back_until_it_goes_on(nats_alone: NatsProcess) -> None:
    append(nats_alone, CYCLE)
    with terminal("top", "--nats-url", nats_alone.url) as it:
        it.until("miners 1 to ")
        it.process.send_signal(signal.SIGTSTP)
        at = it.until(OWN_SCREEN, raw=True)
        it.stops()
        assert it.settings == it.before
        it.process.send_signal(signal.SIGCONT)
        it.until(OTHER_SCREEN, raw=True, after=at)
        it.press(b"q")
        assert it.ends() == 0
        assert_given_back(it)


def test_an_error_is_told_on_the_terminal_that_was_there_before(nats_alone: NatsProcess) -> None:
    append(nats_alone, CYCLE)
    with terminal("top", "--nats-url", nats_alone.url) as it:
        it.until("q quits")
        asyncio.run(_unreadable(nats_alone.url))
        it.ends()
        assert_given_back(it)
        assert "upgrade this program" in it.raw[it.raw.rfind(OWN_SCREEN) :]


async def _unreadable(url: str) -> None:
    body = b'{"specversion":"1.0","type":"kinitro.from.the_future","schemaversion":1,"data":{}}'
    async with await connect(url, "tests") as connection:
        await JetStreamLog(connection).append([Draft("evt.future.1", "future-1", body)])


def test_without_a_terminal_it_prints_a_line_now_and_then(nats_alone: NatsProcess) -> None:
    append(nats_alone, CYCLE)
    with running("top", "--nats-url", nats_alone.url) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any(line == "cycle 1: 240 of 240 episodes\n" for line in lines)
        assert next(lines).startswith("Cycle 1 at block 100")
