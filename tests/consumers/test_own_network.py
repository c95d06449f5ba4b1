"""Whether our own network works: asked of real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from consumers.simulation.blame import Check
from consumers.simulation.network import ASKED_MAX, CHECK_S, FRESH_S, LATELY_S, WITNESSES_MAX, OwnNetwork
from sim.policy import Doubt
from tests.sim.http.hostile import blackhole

SUSPECT = "http://127.0.0.99:9"


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Witness:
    url: str = ""
    connections: int = 0


@contextlib.asynccontextmanager
async def witness(host: str) -> AsyncIterator[Witness]:
    """A policy at an address of its own."""
    it = Witness()

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        it.connections += 1
        writer.close()

    async with await asyncio.start_server(accept, host, 0) as server:
        it.url = f"http://{host}:{server.sockets[0].getsockname()[1]}"
        yield it


@contextlib.asynccontextmanager
async def witnesses(count: int) -> AsyncIterator[list[Witness]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(witness(f"127.0.1.{number + 1}")) for number in range(count)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def network(clock: Clock) -> OwnNetwork:
    return OwnNetwork(allow_private=True, clock=clock)


async def closed(count: int) -> list[str]:
    """Where policies were."""
    async with witnesses(count) as them:
        return [it.url for it in them]


async def test_without_witnesses_nothing_is_known(network: OwnNetwork) -> None:
    assert await network.check(SUSPECT, Doubt.NEVER_REACHED) == Check()


async def test_a_few_witnesses_are_asked_and_no_more(network: OwnNetwork) -> None:
    async with witnesses(6) as them:
        for it in them:
            network.answered(it.url)
        assert await network.check(SUSPECT, Doubt.NEVER_REACHED) == Check(asked=ASKED_MAX, answered=ASKED_MAX)


async def test_one_that_answers_is_enough(network: OwnNetwork) -> None:
    for url in await closed(2):
        network.answered(url)
    async with witness("127.0.2.1") as living:
        network.answered(living.url)
        check = await network.check(SUSPECT, Doubt.NEVER_REACHED)
    assert check == Check(asked=3, answered=1)
    assert check.works


async def test_a_network_in_which_nobody_answers_any_more_is_broken(network: OwnNetwork) -> None:
    for url in await closed(3):
        network.answered(url)
    check = await network.check(SUSPECT, Doubt.NEVER_REACHED)
    assert check == Check(asked=3, answered=0)
    assert check.broken


async def test_a_check_has_an_end_where_nothing_comes_back(network: OwnNetwork) -> None:
    with ExitStack() as stack:
        for number in range(ASKED_MAX):
            network.answered(stack.enter_context(blackhole(f"127.0.3.{number + 1}")))
        started_s = time.monotonic()
        assert await network.check(SUSPECT, Doubt.NEVER_REACHED) == Check(asked=ASKED_MAX, answered=0)
        took_s = time.monotonic() - started_s
    assert took_s < ASKED_MAX * CHECK_S, "one after the other"


async def test_the_suspect_is_no_witness_for_its_own_absence(network: OwnNetwork) -> None:
    async with witness("127.0.1.1") as suspect:
        network.answered(suspect.url)
        assert await network.check("http://127.0.1.1:9/other", Doubt.NEVER_REACHED) == Check()


async def test_a_suspect_that_fell_silent_rules_us_out_by_answering(network: OwnNetwork) -> None:
    for url in await closed(1):
        network.answered(url)
    async with witness("127.0.4.1") as suspect:
        check = await network.check(suspect.url, Doubt.FELL_SILENT)
    assert check == Check(asked=2, answered=1)


async def test_episodes_that_fail_together_ask_once(network: OwnNetwork, clock: Clock) -> None:
    async with witnesses(3) as them:
        for it in them:
            network.answered(it.url)
        await asyncio.gather(*(network.check(f"http://127.0.9.{n}:9", Doubt.NEVER_REACHED) for n in range(16)))
        assert [it.connections for it in them] == [1, 1, 1]
        clock.now_s += FRESH_S + 1
        await network.check(SUSPECT, Doubt.NEVER_REACHED)
        assert [it.connections for it in them] == [2, 2, 2]


async def test_who_answered_long_ago_is_not_expected_to_answer(network: OwnNetwork, clock: Clock) -> None:
    for url in await closed(3):
        network.answered(url)
    clock.now_s += LATELY_S + 1
    assert await network.check(SUSPECT, Doubt.NEVER_REACHED) == Check()


async def test_it_does_not_remember_everybody(network: OwnNetwork) -> None:
    async with witness("127.0.1.1") as first:
        network.answered(first.url)
        for number in range(WITNESSES_MAX):
            network.answered(f"http://127.0.1.1:{number + 1}")
        for _ in range(50):
            assert not (await network.check(SUSPECT, Doubt.NEVER_REACHED)).works
    assert first.connections == 0


async def test_only_names_can_tell_whether_names_are_resolved(network: OwnNetwork) -> None:
    async with witness("127.0.0.1") as it:
        network.answered(it.url)
        assert await network.check("http://policy.example", Doubt.NAME_UNANSWERED) == Check()
        network.answered(it.url.replace("127.0.0.1", "localhost"))
        assert await network.check("http://policy.example", Doubt.NAME_UNANSWERED) == Check(asked=1, answered=1)


async def test_private_addresses_are_not_asked_where_they_are_not_allowed() -> None:
    network = OwnNetwork(allow_private=False)
    async with witness("127.0.0.1") as it:
        network.answered(it.url)
        assert (await network.check(SUSPECT, Doubt.NEVER_REACHED)).broken
    assert it.connections == 0


async def test_no_check_is_made_without_a_doubt(network: OwnNetwork) -> None:
    async with witness("127.0.0.1") as it:
        network.answered(it.url)
        assert await network.check(SUSPECT, Doubt.NONE) == Check()
    assert it.connections == 0


async def test_who_is_introduced_is_a_witness_where_it_can_be_reached(network: OwnNetwork) -> None:
    gone = await closed(2)
    async with witnesses(1) as [there]:
        assert await network.check(SUSPECT, Doubt.NEVER_REACHED, [*gone, there.url]) == Check(asked=1, answered=1)
        assert there.connections == 1


async def test_who_is_introduced_and_cannot_be_reached_shows_nothing(network: OwnNetwork) -> None:
    assert await network.check(SUSPECT, Doubt.FELL_SILENT, await closed(3)) == Check()


async def test_the_suspect_and_addresses_are_no_witnesses_by_being_introduced(network: OwnNetwork) -> None:
    async with witnesses(1) as [there]:
        assert await network.check(there.url, Doubt.NEVER_REACHED, [there.url]) == Check()
        assert await network.check("http://policy.test", Doubt.NAME_UNANSWERED, [there.url]) == Check()
        assert there.connections == 0
