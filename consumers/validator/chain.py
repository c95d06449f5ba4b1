"""The subnet as the SDK gives it: facts at one finalized block, and weights sent to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from consumers.validator.attempt import Pairs
from consumers.validator.facts import Commit, Facts, Us
from events.chain.link import ChainLink
from events.chain.reads import check_canonical, finalized_metagraph, hash_of, head_hash, number_of
from events.chain.submission import ERA_BLOCKS, SUBMIT_S, Fate, submit
from events.ids import Hotkey

if TYPE_CHECKING:
    import bittensor as bt

    from events.chain.sdk import Node

U16_MAX = 65_535
PALLET = "SubtensorModule"


class SubnetChain:
    """One subnet, for one hotkey."""

    def __init__(
        self, endpoints: Sequence[str], netuid: int, keypair: Any, *, submit_s: float = SUBMIT_S, **times: float
    ) -> None:
        self._link = ChainLink(endpoints, **times)
        self._endpoints = tuple(endpoints)
        self._netuid = netuid
        self._keypair = keypair
        self._submit_s = submit_s
        self.hotkey = Hotkey(str(keypair.ss58_address))

    async def genesis(self) -> str:
        """Hash of the chain's first block, lower-case hex.

        Raises:
            ChainTrouble: the chain cannot be read now.
        """
        return (await self._link.call(lambda node: hash_of(node, 0)))[2:]

    async def facts(self) -> Facts:
        """At the newest finalized block.

        Raises:
            ChainTrouble: the chain cannot be read now.
        """
        return await self._link.call(lambda node: read_facts(node, self._netuid, self.hotkey))

    async def submit(self, weights: Mapping[int, int], version_key: int) -> str | None:
        """Sends the weights and waits until they are finalized, or not. None, or what went wrong.

        What went wrong says nothing of their fate: look at the chain.
        """

        async def action(client: bt.Client) -> bt.ExtrinsicResult:
            import bittensor as bt

            intent = bt.SetWeights(netuid=self._netuid, weights=dict(weights), version_key=version_key)
            return await client.execute(intent, self._keypair, period=ERA_BLOCKS, wait_for_finalization=True)

        sent = await submit(self._endpoints, action, limit_s=self._submit_s)
        return None if sent.fate is Fate.FINALIZED else sent.detail

    async def close(self) -> None:
        await self._link.close()


async def read_facts(node: Node, netuid: int, hotkey: Hotkey) -> Facts:
    """All that is needed to decide.

    Raises:
        NoSubnet: there is no such subnet.
        Reorganised: the block was no longer the chain's when all had been read.
        ValueError: an answer has a form that is not understood.
    """
    block, block_hash, graph = await finalized_metagraph(node, netuid)

    async def item(name: str, *params: object) -> Any:
        return await node.query(PALLET, name, list(params), block_hash=block_hash)

    us = await _us(node, graph, netuid, hotkey, block_hash)
    weight_max = await item("MaxWeightsLimit", netuid)
    facts = Facts(
        genesis=(await hash_of(node, 0))[2:],
        netuid=netuid,
        block=block,
        head=await number_of(node, await head_hash(node)),
        hotkeys=tuple(Hotkey(str(each)) for each in graph["hotkeys"]),
        commit_reveal=bool(await item("CommitRevealWeightsEnabled", netuid)),
        rate_limit=int(await item("WeightsSetRateLimit", netuid) or 0),
        stake_min_rao=int(await item("StakeThreshold") or 0),
        version_key=int(await item("WeightsVersionKey", netuid) or 0),
        weight_max=U16_MAX if weight_max is None else int(weight_max),
        weights_min=int(await item("MinAllowedWeights", netuid) or 0),
        us=us,
    )
    await check_canonical(node, block, block_hash)
    return facts


async def _us(node: Node, graph: Mapping[str, Any], netuid: int, hotkey: Hotkey, block_hash: str) -> Us | None:
    hotkeys = [str(each) for each in graph["hotkeys"]]
    if hotkey not in hotkeys:
        return None
    uid = hotkeys.index(hotkey)
    weights = await node.query(PALLET, "Weights", [netuid, uid], block_hash=block_hash)
    epochs = await node.query_map(PALLET, "TimelockedWeightCommits", [netuid], block_hash)
    commits = [
        Commit(int(at), int(reveal)) for _, queue in epochs for who, at, _, reveal in queue if str(who) == hotkey
    ]
    return Us(
        uid=uid,
        permit=bool(graph["validator_permit"][uid]),
        stake_rao=int(graph["total_stake"][uid]),
        last_update=int(graph["last_update"][uid]),
        weights=tuple(sorted((int(to), int(value)) for to, value in weights or ())),
        commits=tuple(sorted(commits, key=lambda it: it.block)),
    )


def on_chain(weights: Mapping[int, int], weight_max: int) -> Pairs:
    """What the chain holds after these were submitted: the SDK clips them, makes the largest 65535, drops zeros."""
    from bittensor.intents import normalize
    from bittensor.intents.weights import clip_to_max_weight

    uids, values = sorted(weights), [float(weights[uid]) for uid in sorted(weights)]
    if weight_max < U16_MAX:
        values = clip_to_max_weight(values, weight_max / U16_MAX)
    return tuple(zip(*normalize(uids, values), strict=True))
