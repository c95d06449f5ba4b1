"""One more look at the subnet of a cycle, when all its outcomes are there: who still holds its uid?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from events.chain.trouble import ChainTrouble
from events.cycles import CyclePlanned
from events.metagraph import SlotsChecked
from events.patience import Patience
from producers.discovery.metagraph import MetagraphSnapshot
from producers.discovery.source import SourceTrouble
from producers.retry import retried

SLOTS_WITHIN_S = 60.0
"""How long a cycle with all its outcomes waits for the chain to say who still holds its uid."""

_TROUBLE = (ChainTrouble, SourceTrouble)


async def later_subnet(
    plan: CyclePlanned,
    read: Callable[[], Awaitable[MetagraphSnapshot]],
    patience: Patience,
    tell: Callable[[Exception], None],
) -> MetagraphSnapshot | None:
    """The subnet at a finalized block after the plan's; None if it cannot be had while there is patience."""

    async def look() -> MetagraphSnapshot:
        graph = await read()
        if graph.block <= plan.block:
            raise SourceTrouble(
                f"the subnet was read at block {graph.block}, expected one after the plan's {plan.block}; the node is"
                " behind, or does not finalize"
            )
        return graph

    left_s = patience.left_s
    try:
        async with asyncio.timeout(left_s) as limit:
            return await retried(look, _TROUBLE, limit_s=left_s, tell=tell)
    except _TROUBLE:
        return None
    except TimeoutError:
        if limit.expired():
            return None
        raise


def slots_of(plan: CyclePlanned, graph: MetagraphSnapshot) -> SlotsChecked:
    """Who of the plan no longer holds its uid in the subnet as it was read. Pure."""
    holders = {it.uid: it.hotkey for it in graph.neurons}
    return SlotsChecked(
        cycle=plan.cycle,
        netuid=graph.netuid,
        block=graph.block,
        block_hash=graph.block_hash,
        moved=tuple(sorted(entry.uid for entry in plan.roster if holders.get(entry.uid) != entry.hotkey)),
    )
