"""The real SDK submits to the stub."""

from __future__ import annotations

import asyncio

import bittensor as bt
import pytest

from tests.chain.chain import NETUID, Chain
from tests.chain.clients import client
from tests.chain.effects import FEE_RAO
from tests.chain.node import Fate, running
from tests.chain.runtime import runtime
from tests.chain.subnets import hotkey, keypair, populated
from tests.chain.world import OWNER_RAO, raw
from tests.eventually import eventually

SIGNER = keypair("hotkey0")


async def set_weights(connected: bt.Client, version_key: int = 0) -> bt.ExtrinsicResult:
    intent = bt.SetWeights(netuid=NETUID, weights={1: 1.0, 2: 0.5}, version_key=version_key)
    return await connected.execute(intent, SIGNER, wait_for_finalization=True)


async def set_commitment(connected: bt.Client, data: bytes) -> bt.ExtrinsicResult:
    call = bt.calls.Commitments.set_commitment(netuid=NETUID, info={"fields": [{f"Raw{len(data)}": data}]})
    return await connected.submit_call(call, SIGNER, signer="hotkey")


async def test_weights_that_were_set_are_on_the_chain() -> None:
    chain = populated()
    async with running(chain) as node, client(node) as connected:
        assert (await set_weights(connected)).success

        weights = await connected.query(("SubtensorModule", "Weights"), [NETUID, 0])
        updates = await connected.query(("SubtensorModule", "LastUpdate"), [NETUID])

    assert [tuple(each) for each in weights] == [(1, 65_535), (2, 32_768)]
    assert updates[:2] == [1002, 0]


async def test_a_plan_of_weights_submits_nothing() -> None:
    chain = populated()
    async with running(chain) as node, client(node) as connected:
        plan = await connected.plan(bt.SetWeights(netuid=NETUID, weights={1: 1.0}), SIGNER)

    assert plan.fee == bt.Balance.from_rao(FEE_RAO)
    assert chain.head.number == 1001
    assert chain.pool == []


async def test_what_an_account_holds_is_read() -> None:
    chain = populated()
    chain.endow(hotkey(0), 5)
    chain.advance()
    async with running(chain) as node, client(node) as connected:
        assert (await connected.balances.get(hotkey(0))).rao == 5


async def test_where_weights_are_committed_first_they_are_sealed() -> None:
    chain = populated()
    chain.rule(commit_reveal=True)
    chain.advance()
    async with running(chain) as node, client(node) as connected:
        result = await set_weights(connected)

    assert result.success
    assert [(it.hotkey, it.reveal_round) for it in chain.world.sealed] == [(hotkey(0), result.data["reveal_round"])]
    assert chain.world.weights == {}
    assert chain.world.neurons[0].last_update == chain.head.number
    chain.reveal(hotkey(0), {1: 65_535})
    assert (chain.world.sealed, chain.world.weights) == ((), {0: ((1, 65_535),)})


async def test_weights_within_the_rate_limit_are_refused_before_they_are_signed() -> None:
    chain = populated()
    chain.rule(weights_rate_limit=100)
    chain.advance()
    async with running(chain) as node, client(node) as connected:
        assert (await set_weights(connected)).success
        with pytest.raises(bt.ChainError) as refused:
            await set_weights(connected)

    assert refused.value.code == bt.ErrorCode.RATE_LIMITED


async def test_weights_that_come_too_fast_after_all_are_refused_by_the_chain() -> None:
    chain = populated()
    async with running(chain) as node, client(node) as connected:
        assert (await set_weights(connected)).success
        chain.rule(weights_rate_limit=100)  # in the next block: the SDK looks at this one

        result = await set_weights(connected)

    assert not result.success
    assert result.error is not None
    assert result.error.name == "SettingWeightsTooFast"


@pytest.mark.parametrize(
    ("rules", "error"),
    [({"weights_version": 5}, "IncorrectWeightVersionKey"), ({"min_allowed_weights": 3}, "WeightVecLengthIsLow")],
)
async def test_rules_that_change_in_the_same_block_are_enforced(rules: dict[str, int], error: str) -> None:
    chain = populated()
    async with running(chain) as node, client(node) as connected:
        chain.rule(**rules)

        result = await set_weights(connected)

    assert result.error is not None
    assert result.error.name == error


async def test_without_the_item_the_sdk_reads_no_weights_can_be_set() -> None:
    chain = populated()
    chain.runtime = runtime("SubnetEpochConsensus")
    async with running(chain) as node, client(node) as connected:
        with pytest.raises(ValueError, match="SubnetEpochConsensus"):
            await set_weights(connected)


async def test_a_commitment_that_was_set_is_read_back() -> None:
    chain = populated()
    async with running(chain) as node, client(node) as connected:
        result = await set_commitment(connected, b"user/policy:89abcdef:other")
        read = (await connected.subnets.commitments(NETUID))[hotkey(0)]

    assert result.success
    assert (read.data, read.block) == ("user/policy:89abcdef:other", chain.head.number)
    assert chain.world.account(hotkey(0)).free_rao == OWNER_RAO - FEE_RAO
    assert chain.world.account(hotkey(0)).nonce == 1


async def test_a_stranger_may_not_commit() -> None:
    chain = Chain()
    chain.advance()
    async with running(chain) as node, client(node) as connected:
        result = await set_commitment(connected, b"hello")

    assert result.error is not None
    assert result.error.name == "AccountNotAllowedCommit"


async def test_who_cannot_pay_is_refused() -> None:
    chain = populated()
    chain.endow(hotkey(0), FEE_RAO - 1)
    chain.advance()
    async with running(chain) as node, client(node) as connected:
        result = await set_commitment(connected, b"hello")

    assert not result.success
    assert "cannot cover the transaction fee" in result.message
    assert chain.head.extrinsics == ()


async def test_a_call_that_the_stub_does_not_know_is_refused_with_its_name() -> None:
    async with running(populated()) as node, client(node) as connected:
        call = bt.calls.System.remark(remark=b"hello")
        result = await connected.submit_call(call, SIGNER, signer="hotkey")

    assert not result.success
    assert "does not know the call System.remark" in result.message


@pytest.mark.parametrize("fate", [Fate.TAKEN_AND_CUT, Fate.LOST_AND_CUT])
async def test_of_a_submission_that_was_cut_only_the_chain_knows_the_fate(fate: Fate) -> None:
    chain = populated()
    async with running(chain) as node, client(node) as connected:
        node.fate = fate
        result = await set_weights(connected)
        node.fate = Fate.KNOWN

        updates = await connected.query(("SubtensorModule", "LastUpdate"), [NETUID])

    assert not result.success
    assert "may already be in the pool or on chain" in result.message
    assert (updates[0] > 0) == (fate is Fate.TAKEN_AND_CUT)


@pytest.mark.parametrize(("fate", "said"), [(Fate.DROPPED, "dropped"), (Fate.REFUSED, "signature does not match")])
async def test_a_submission_that_was_thrown_away_fails(fate: Fate, said: str) -> None:
    chain = populated()
    async with running(chain) as node, client(node) as connected:
        node.fate = fate
        result = await set_weights(connected)
        node.fate = Fate.KNOWN

        assert not result.success
        assert said in result.message
        assert chain.world.weights == {}
        assert (await set_weights(connected)).success


async def test_a_submission_waits_until_its_block_is_finalized() -> None:
    chain = populated()
    chain.instant = False
    async with running(chain) as node, client(node) as connected:
        submission = asyncio.ensure_future(set_weights(connected))
        await eventually(lambda: len(chain.pool) == 1)
        included = chain.produce()
        assert await connected.block() == included.number
        assert not submission.done()

        chain.finalize()

        assert (await submission).block_hash == included.hash


async def test_a_submission_in_a_block_that_is_undone_fails() -> None:
    chain = populated()
    chain.instant = False
    async with running(chain) as node, client(node) as connected:
        submission = asyncio.ensure_future(set_weights(connected))
        await eventually(lambda: len(chain.pool) == 1)
        chain.produce()
        chain.reorganise(1)

        result = await submission

    assert not result.success
    assert "retracted" in result.message
    assert chain.world.weights == {}


def test_what_a_fork_did_is_undone() -> None:
    chain = populated()
    chain.commit(hotkey(0), raw("on the fork"))
    gone = chain.produce(2)

    head = chain.reorganise(2)

    assert head.number == gone.number + 1
    assert chain.hash_of(gone.number) not in {None, gone.hash}
    assert chain.block(gone.hash) is gone
    assert head.world.commitments == populated().world.commitments
