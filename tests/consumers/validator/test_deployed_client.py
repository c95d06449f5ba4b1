"""What the subnet's deployed validators do with the API: they read five fields, and must go on as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import bittensor as bt

from tests.chain.chain import NETUID
from tests.chain.clients import client
from tests.chain.node import Node
from tests.consumers.validator.conftest import OURS, UID
from tests.fixtures.http import Api


@dataclass(frozen=True)
class WeightsData:
    """As such a client keeps an answer."""

    cycle_id: int
    block_number: int
    weights: Mapping[int, float]
    weights_u16: Mapping[str, list[int]]
    metadata: Mapping[str, Any]


async def latest(session: aiohttp.ClientSession, url: str) -> WeightsData | None:
    """A client of the kind: None where there are no weights yet, an error for all else."""
    async with session.get(f"{url}/v1/weights/latest", timeout=aiohttp.ClientTimeout(total=30)) as answer:
        if answer.status == 404:
            return None
        answer.raise_for_status()
        data = await answer.json()
    return WeightsData(
        cycle_id=int(data["cycle_id"]),
        block_number=int(data["block_number"]),
        weights={int(uid): float(weight) for uid, weight in data["weights"].items()},
        weights_u16={name: [int(each) for each in data["weights_u16"][name]] for name in ("uids", "values")},
        metadata=dict(data["metadata"]),
    )


async def test_before_the_first_weights_it_is_told_that_there_are_none(
    api: Api, session: aiohttp.ClientSession
) -> None:
    assert await latest(session, api.base_url) is None


async def test_it_asks_for_health_first(published: Api, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{published.base_url}/health") as answer:
        assert answer.status == 200


async def test_it_reads_its_five_fields_and_sets_weights_with_them(
    published: Api, session: aiohttp.ClientSession, node: Node
) -> None:
    found = await latest(session, published.base_url)
    assert found is not None
    assert (found.cycle_id, found.block_number) == (1, 50)
    assert sum(found.weights_u16["values"]) == 65_535
    assert max(found.weights, key=found.weights.__getitem__) == 0

    u16 = found.weights_u16
    async with client(node) as connected:
        intent = bt.SetWeights(netuid=NETUID, uids=u16["uids"], weights=[float(each) for each in u16["values"]])
        assert (await connected.execute(intent, OURS, wait_for_finalization=True)).success
    assert [uid for uid, _ in node.chain.world.weights[UID]] == u16["uids"]
