"""A validator between a real API and a real node: what comes out on the chain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consumers.signing.identity import rotate
from consumers.validator.rounds import POLL_S, Outcome
from consumers.validator.store import StoreRefused
from consumers.validator.validator import PAUSE_MAX_S
from events.keys import SigningKey
from tests.chain.node import Fate, Node
from tests.chain.subnets import hotkey
from tests.consumers.validator.conftest import OURS, UID, Workplace, publish
from tests.consumers.validator.recorded import SIGNED, record, serving
from tests.controls.keys import FIRST, SECOND, STRANGER
from tests.fixtures.http import Api, Written
from tests.fixtures.ports import free_port

ADDRESS = str(OURS.ss58_address)
LATER_BLOCKS = 100
"""Enough for whatever was sent to be lost for certain."""


class Enough(Exception):
    """The test has seen what it wants to see."""


def submissions(node: Node) -> int:
    return node.calls["author_submitAndWatchExtrinsic"]


def extrinsics(node: Node) -> int:
    """How many of ours are in blocks."""
    return node.chain.world.account(ADDRESS).nonce


async def look(workplace: Workplace, **settings: Any) -> tuple[Outcome, str]:
    """One round of a validator that was just started."""
    async with workplace.validator(**settings) as validator:
        came = await validator.round()
        return came.outcome, came.detail


async def test_weights_that_pass_all_checks_are_on_the_chain(workplace: Workplace, node: Node) -> None:
    assert await look(workplace) == (
        Outcome.SUBMITTED,
        "cycle 1 is on the chain since block 1002, as 0: 65535, 1: 1201",
    )
    assert node.chain.world.weights == {UID: ((0, 65_535), (1, 1_201))}


async def test_a_cycle_is_submitted_once(workplace: Workplace, node: Node) -> None:
    async with workplace.validator() as validator:
        await validator.round()
        again = await validator.round()
    assert again.outcome is Outcome.DONE
    assert (await look(workplace))[0] is Outcome.DONE
    assert extrinsics(node) == 1


async def test_without_its_memory_it_looks_at_the_chain(workplace: Workplace, node: Node) -> None:
    await look(workplace)
    (remembered,) = workplace.home.glob("validator/*.json")
    remembered.unlink()
    outcome, detail = await look(workplace)
    assert (outcome, extrinsics(node)) == (Outcome.DONE, 1)
    assert "holds exactly these weights" in detail


async def test_the_next_cycle_is_submitted_too(workplace: Workplace, node: Node, read_side: Written) -> None:
    await look(workplace)
    await publish(read_side.log, 2, winners=(1,))
    await read_side.project()
    async with workplace.validator() as validator:
        came = await validator.once()
        while came.outcome is Outcome.DONE:  # the API answers from memory for a moment
            came = await validator.once()
    assert came.outcome is Outcome.SUBMITTED
    assert node.chain.world.weights[UID] == ((0, 1_201), (1, 65_535))


async def test_sealed_weights_are_committed_and_later_seen_revealed(workplace: Workplace, node: Node) -> None:
    node.chain.rule(commit_reveal=True)
    node.chain.advance()
    async with workplace.validator() as validator:
        assert (await validator.round()).outcome is Outcome.SUBMITTED
        assert len(node.chain.world.sealed) == 1
        assert "not revealed yet" in (await validator.round()).detail
    node.chain.reveal(ADDRESS, {0: 65_535, 1: 1_201})
    node.chain.advance()
    assert (await look(workplace))[1].endswith("and revealed")
    assert extrinsics(node) == 1


async def test_weights_that_are_clipped_by_the_subnet_are_read_back_as_clipped(
    workplace: Workplace, node: Node
) -> None:
    node.chain.rule(max_weights_limit=40_000)
    node.chain.advance()
    assert (await look(workplace))[0] is Outcome.SUBMITTED
    assert node.chain.world.weights[UID] != ((0, 65_535), (1, 1_201))


async def test_the_rate_limit_is_waited_for(workplace: Workplace, node: Node, read_side: Written) -> None:
    await look(workplace)
    node.chain.rule(weights_rate_limit=50)
    node.chain.advance()
    await publish(read_side.log, 2, winners=(1,))
    await read_side.project()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        node.chain.advance(2)

    async with workplace.validator(sleep=sleep) as validator:
        while (came := await validator.once()).outcome is Outcome.DONE:
            pass
    assert came.outcome is Outcome.SUBMITTED
    assert (extrinsics(node), submissions(node)) == (2, 2)
    assert len(slept) >= 20


@pytest.mark.parametrize("fate", [Fate.LOST_AND_CUT, Fate.DROPPED, Fate.REFUSED])
async def test_what_was_lost_is_sent_again_once_it_cannot_come_any_more(
    workplace: Workplace, node: Node, fate: Fate
) -> None:
    node.fate = fate
    async with workplace.validator() as validator:
        assert (await validator.round()).outcome is Outcome.WAITING
        node.fate = Fate.KNOWN
        assert (await validator.round()).outcome is Outcome.WAITING
        assert submissions(node) == 1
        node.chain.advance(LATER_BLOCKS)
        assert (await validator.round()).outcome is Outcome.SUBMITTED
    assert extrinsics(node) == 1


async def test_what_was_taken_though_the_answer_was_lost_is_not_sent_again(workplace: Workplace, node: Node) -> None:
    node.fate = Fate.TAKEN_AND_CUT
    assert (await look(workplace))[0] is Outcome.SUBMITTED
    assert (await look(workplace))[0] is Outcome.DONE
    assert (extrinsics(node), submissions(node)) == (1, 1)


async def test_after_a_crash_what_was_sent_is_looked_for_first(workplace: Workplace, node: Node) -> None:
    node.chain.instant = False
    node.fate = Fate.TAKEN_AND_CUT
    assert (await look(workplace))[0] is Outcome.WAITING
    node.fate = Fate.KNOWN
    assert (await look(workplace))[0] is Outcome.WAITING
    node.chain.advance()
    assert (await look(workplace))[0] is Outcome.DONE
    assert (extrinsics(node), submissions(node)) == (1, 1)


async def test_what_the_chain_refuses_is_named_and_not_repeated_at_once(workplace: Workplace, node: Node) -> None:
    def stricter(method: str, _: Any) -> None:
        if method == "author_submitAndWatchExtrinsic":
            node.chain.rule(min_allowed_weights=3)

    node.before = stricter
    async with workplace.validator() as validator:
        came = await validator.round()
        assert (came.outcome, "WeightVecLengthIsLow" in came.detail) == (Outcome.WAITING, True)
        await validator.round()
    assert submissions(node) == 1


async def test_other_weights_under_our_hotkey_are_reported_and_left_alone(workplace: Workplace, node: Node) -> None:
    node.fate = Fate.LOST_AND_CUT
    async with workplace.validator() as validator:
        await validator.round()
        other = {"last_update": node.chain.head.number + 1}
        neuron = node.chain.world.neurons[UID]
        node.chain.world = node.chain.world.with_neuron(UID, type(neuron)(**{**_fields(neuron), **other}))
        node.chain.advance()
        came = await validator.round()
    assert (came.outcome, "displaced" in came.detail) == (Outcome.DONE, True)


def _fields(neuron: Any) -> dict[str, Any]:
    return {name: getattr(neuron, name) for name in neuron.__slots__}


async def test_a_uid_that_changed_hands_is_refused(workplace: Workplace, node: Node) -> None:
    node.chain.register(hotkey(5), uid=1)
    node.chain.advance()
    outcome, detail = await look(workplace)
    assert outcome is Outcome.REFUSED
    assert f"uid 1: expected {hotkey(1)}, found {hotkey(5)}" in detail
    assert submissions(node) == 0


async def test_a_change_that_is_not_finalized_does_not_count(workplace: Workplace, node: Node) -> None:
    node.chain.register(hotkey(5), uid=1)
    node.chain.produce()
    assert (await look(workplace))[0] is Outcome.SUBMITTED


async def test_a_stale_cycle_is_refused(workplace: Workplace, node: Node) -> None:
    outcome, detail = await look(workplace, clock=lambda: datetime.now(UTC) + timedelta(days=2))
    assert (outcome, detail.startswith("age: cycle 1 was planned")) == (Outcome.REFUSED, True)
    assert submissions(node) == 0


async def test_a_key_that_was_not_pinned_is_refused(workplace: Workplace, node: Node) -> None:
    outcome, detail = await look(workplace, backend_key=STRANGER.address)
    assert outcome is Outcome.REFUSED
    assert detail.startswith(f"statement: --backend-key {STRANGER.address} is none of the backend's keys")
    assert submissions(node) == 0


@pytest.mark.parametrize("pinned", [FIRST, SECOND], ids=["before", "after"])
async def test_a_key_that_the_pinned_one_announced_is_as_good(
    api: Api, read_side: Written, workplace: Workplace, node: Node, pinned: SigningKey
) -> None:
    await rotate(read_side.log, FIRST, SECOND)
    await publish(read_side.log, 2, winners=(1,), key=SECOND)
    await read_side.project()
    async with serving(await record(api, cycle=2)) as served:
        assert (await look(workplace, urls=[served.url], backend_key=pinned.address))[0] is Outcome.SUBMITTED


async def test_a_dry_run_submits_nothing(workplace: Workplace, node: Node) -> None:
    outcome, detail = await look(workplace, dry_run=True)
    assert (outcome, detail) == (
        Outcome.DONE,
        "dry run: cycle 1 would be submitted as {0: 65535, 1: 1201}",
    )
    assert (submissions(node), list(workplace.home.glob("validator/*.json"))) == (0, [])


async def test_a_backend_that_is_away_has_a_fallback(workplace: Workplace, published: Api) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    assert (await look(workplace, urls=[away]))[0] is Outcome.TROUBLE
    assert (await look(workplace, urls=[away, published.base_url]))[0] is Outcome.SUBMITTED


async def test_two_statements_of_one_cycle_by_one_key_are_an_alarm(
    workplace: Workplace, published: Api, node: Node
) -> None:
    true = await record(published)
    async with serving(true.altered(SIGNED, true.signed_anew(FIRST, b'"uid":0', b'"uid":3'))) as served:
        outcome, detail = await look(workplace, urls=[published.base_url, served.url])
    assert outcome is Outcome.REFUSED
    assert "HAS SIGNED TWO DIFFERENT WEIGHTS OF CYCLE 1" in detail
    assert submissions(node) == 0


async def test_an_older_cycle_is_refused_after_a_newer_one(
    api: Api, workplace: Workplace, node: Node, read_side: Written
) -> None:
    first = await record(api)
    await publish(read_side.log, 2, winners=(1,))
    await read_side.project()
    async with serving(await record(api, cycle=2)) as served:
        await look(workplace, urls=[served.url])
        served.answers = first
        outcome, detail = await look(workplace, urls=[served.url])
    assert outcome is Outcome.REFUSED
    assert "never submitted after a newer one" in detail
    assert node.chain.world.weights[UID] == ((0, 1_201), (1, 65_535))


async def test_a_dry_run_disturbs_no_validator(workplace: Workplace) -> None:
    async with workplace.validator() as validator, workplace.validator(dry_run=True) as dry:
        await validator.round()
        assert (await dry.round()).outcome is Outcome.DONE


async def test_a_submission_that_takes_too_long_is_looked_for_later(workplace: Workplace, node: Node) -> None:
    workplace.chain_times = {"submit_s": 1.0}
    node.chain.instant = False
    async with workplace.validator() as validator:
        assert (await validator.round()).outcome is Outcome.WAITING
        node.chain.advance()
        assert (await validator.round()).outcome is Outcome.DONE
    assert (extrinsics(node), submissions(node)) == (1, 1)


async def test_a_chain_that_is_away_is_asked_again_with_growing_pauses(workplace: Workplace, node: Node) -> None:
    await node.stop()
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 8:
            await node.start()
        if node.chain.world.weights:
            raise Enough

    async with workplace.validator(sleep=sleep) as validator:
        with pytest.raises(Enough):
            await validator.follow()
    assert pauses[0] < pauses[2] < pauses[4]
    assert max(pauses) <= 1.2 * PAUSE_MAX_S
    assert pauses[-1] <= 1.2 * POLL_S


async def test_a_second_validator_with_the_same_hotkey_is_refused(workplace: Workplace) -> None:
    async with workplace.validator() as first, workplace.validator() as second:
        await first.round()
        with pytest.raises(StoreRefused, match="used by another validator"):
            await second.round()


async def test_weights_that_were_signed_for_another_subnet_are_refused(
    workplace: Workplace, published: Api, node: Node
) -> None:
    true = await record(published)
    signed = true.signed_anew(FIRST, b'"cycle":1', b'"cycle":1,"genesis":"00","netuid":9')
    async with serving(true.altered(SIGNED, signed)) as served:
        outcome, detail = await look(workplace, urls=[served.url])
    assert outcome is Outcome.REFUSED
    assert "netuid 7" in detail
    assert submissions(node) == 0
