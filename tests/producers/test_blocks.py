"""Blocks by the clock."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.blocks import ClockBlocks
from tests.controls import facts
from tests.producers.driving import HandClock


def blocks(clock: HandClock, network: str = "local", block_time_s: float = 12.0) -> ClockBlocks:
    return ClockBlocks(network, facts.MOMENT, block_time_s=block_time_s, clock=clock, sleep=clock.sleep)


@given(st.floats(0, 1e8), st.sampled_from([0.25, 1.0, 12.0]))
async def test_a_block_lasts_its_time(passed_s: float, block_time_s: float) -> None:
    clock = HandClock()
    clock.turn(passed_s)
    number = (await blocks(clock, block_time_s=block_time_s).current()).number
    begins = facts.MOMENT + number * timedelta(seconds=block_time_s)
    assert begins <= clock() < begins + timedelta(seconds=block_time_s)


async def test_the_block_after_is_waited_for() -> None:
    clock = HandClock()
    block = await blocks(clock).after(4)
    assert block.number == 5
    assert clock() == facts.MOMENT + timedelta(seconds=60)


async def test_a_block_after_one_long_past_is_there_at_once() -> None:
    clock = HandClock()
    clock.turn(1000)
    before = clock()
    assert (await blocks(clock).after(4)).number == 5
    assert clock() == before


async def test_blocks_are_final() -> None:
    assert (await blocks(HandClock()).after(0)).finalized
    assert (await blocks(HandClock()).current()).finalized


async def test_the_hash_is_the_documented_one() -> None:
    material = b"kinitro/local-block/1\x00" + (5).to_bytes(2, "big") + b"local" + (1).to_bytes(8, "big")
    assert (await blocks(HandClock()).after(0)).hash == hashlib.sha256(material).hexdigest()


async def test_networks_and_numbers_have_hashes_of_their_own() -> None:
    hashes = {(await blocks(HandClock(), network).after(n)).hash for network in ("local", "test") for n in range(10)}
    assert len(hashes) == 20


async def test_a_clock_before_the_genesis_is_refused() -> None:
    clock = HandClock()
    clock.turn(-1)
    with pytest.raises(ValueError, match="before the genesis"):
        await blocks(clock).current()


def test_a_genesis_without_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        ClockBlocks("local", datetime(2026, 1, 1))  # noqa: DTZ001  # that is the point


def test_a_block_time_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="block time is 0 s"):
        blocks(HandClock(), block_time_s=0)
