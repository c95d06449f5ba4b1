"""A whole cycle about a subnet of a chain, whose nodes fail now and then: from commitments to audited weights.

Real NATS, worker, physics and policies over HTTP, and the chain's SDK on real websockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from consumers.audit.cycle.audit import conclude
from consumers.audit.cycle.fold import CycleFold
from consumers.audit.cycle.sources import LogSource
from consumers.audit.history.sources import audit_log
from consumers.scoring.handler import Scoring
from consumers.signing.handler import Signing
from consumers.simulation.worker import WorkerSettings, run_worker
from events.connection import Connection
from events.cycles import CyclePlanned, CycleSeeded
from events.episodes import EpisodeCompleted
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.sealed import TITLE, EndpointKey, seal
from events.secret_file import create_secret
from events.signed import RootSigned, WeightsSigned
from events.weights import WeightsComputed
from producers.crypto_commands import FILE_NAME
from producers.discovery import commitments
from producers.discovery.commitments import sealed_commitment_text
from producers.options import CycleOptions, NetworkOptions
from producers.scheduling import Scheduling, schedule
from producers.scoring_options import ScoringOptions
from sim.experts import PolicyKind
from sim.http.server import PolicyServer
from sim.versions import versions
from tests.chain.chain import NETUID, Chain
from tests.chain.node import Node, running
from tests.chain.subnets import hotkey
from tests.chain.world import big_raw, raw
from tests.controls.keys import FIRST
from tests.fixtures.nats import NatsProcess
from tests.producers.driving import events_of

CYCLE_S = 120.0
BLOCK_S = 0.05
"""So fast does the chain of this test go on."""


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def go_on(chain: Chain, *nodes: Node) -> None:
    """Block after block, every third time past a fork that goes again; and nodes are cut, or restart."""
    for number in count(1):
        await asyncio.sleep(BLOCK_S)
        chain.produce(2)
        if number % 3 == 0:
            chain.reorganise(1)
        chain.finalize()
        for node in nodes:
            if number % 20 == 5:
                node.cut()
            elif number % 20 == 15:
                await node.restart()


def subnet(plain: str, sealed: str) -> Chain:
    """One miner in the clear, one sealed, one that has committed to nothing readable, and one to nothing."""
    chain = Chain()
    for uid in range(4):
        chain.register(hotkey(uid), stake_rao=10**9)
    chain.commit(hotkey(0), raw(f"user/plain:0123abcd:{plain}"))
    chain.commit(hotkey(1), big_raw(sealed_commitment_text("user/sealed", "0123abcd", sealed)))
    chain.commit(hotkey(2), raw("hello"))
    chain.advance()
    return chain


def scheduling(home: Path, *nodes: Node) -> Scheduling:
    network = NetworkOptions(
        network="stub",
        netuid=NETUID,
        chain_endpoint=[node.url for node in nodes],
    )
    cycles = CycleOptions(
        environments="metaworld/reach-v3",
        episodes_per_env=2,
        observation_profile="state/1",
        action_timeout_ms=60_000,
        reset_timeout_ms=60_000,
        max_timesteps=60,
    )
    return Scheduling(network, cycles, ScoringOptions(), home, versions())


@pytest.mark.timeout(300)
async def test_a_cycle_on_a_chain_gives_weights_that_an_audit_finds_identical(
    nats: Connection, nats_server: NatsProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = EndpointKey(create_secret(tmp_path / FILE_NAME, TITLE))
    log, cycle, ending = JetStreamLog(nats), CycleId(1), asyncio.Event()
    worker = WorkerSettings(nats_server.url, "worker-1", allow_private_endpoints=True, grace_s=1)
    async with PolicyServer(PolicyKind.EXPERT) as plain, PolicyServer(PolicyKind.RANDOM) as hidden:
        monkeypatch.setattr(commitments, "DEPLOYMENT_URL", hidden.url)
        chain = subnet(plain.url, seal(uuid4(), key.public))
        async with running(chain) as one, running(chain) as other, beside(go_on(chain, one, other)):
            working = asyncio.create_task(run_worker(worker, ending))
            async with asyncio.timeout(CYCLE_S):
                await schedule(nats, scheduling(tmp_path, one, other), cycle)
            ending.set()
            await working
            assert one.connections > 1
    await Scoring(log).catch_up()
    await Signing(log, FIRST).catch_up()

    events = [it.event for it in await events_of(log)]
    (plan,) = (it for it in events if isinstance(it, CyclePlanned))
    (seed,) = (it for it in events if isinstance(it, CycleSeeded))
    (weights,) = (it for it in events if isinstance(it, WeightsComputed))
    assert [(it.uid, it.hotkey) for it in plan.roster] == [(0, hotkey(0)), (1, hotkey(1))]
    assert sum(isinstance(it, EpisodeCompleted) for it in events) == 4
    assert chain.hash_of(plan.block) == f"0x{plan.chain.block_hash if plan.chain else ''}"
    assert chain.hash_of(seed.block) == f"0x{seed.block_hash}"
    assert [it.hotkey for it in weights.standings] == [hotkey(0), hotkey(1)]
    statements = [it.statement for it in events if isinstance(it, RootSigned | WeightsSigned)]
    assert [f'"netuid":{NETUID}' in it for it in statements] == [True, True]

    fold = CycleFold(cycle)
    async for batch in LogSource(log).batches(cycle):
        fold.add(batch)
    assert [str(it.difference) for it in conclude(fold, None, FIRST.address) if it.same is False] == []
    assert (await audit_log(log, FIRST.address, None)).agrees
