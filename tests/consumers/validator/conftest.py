"""A backend with its real API, a chain with a real node, and a validator between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from consumers.scoring.handler import Scoring
from consumers.signing.handler import Signing
from consumers.validator.backend import WAIT_S, Backend
from consumers.validator.chain import SubnetChain
from consumers.validator.validator import Settings, Validator
from events.cycles import CyclePlanned
from events.ids import CycleId, Hotkey
from events.keys import SigningKey
from events.log import EventLog
from tests.chain.chain import NETUID, Chain
from tests.chain.node import Node, running
from tests.chain.subnets import hotkey, keypair
from tests.controls import facts
from tests.controls.keys import FIRST
from tests.controls.sealed_cycles import append_sealed, outcomes_of
from tests.fixtures.http import Api, Written

OURS = keypair("validator")
UID = 2
"""Of the validator; the two miners of `facts.planned` have 0 and 1."""


def planned(cycle: int) -> CyclePlanned:
    """`facts.planned`, of miners that a chain can hold."""
    plan = facts.planned(cycle)
    roster = tuple(each.model_copy(update={"hotkey": Hotkey(hotkey(each.uid))}) for each in plan.roster)
    return plan.model_copy(update={"roster": roster})


async def publish(
    log: EventLog, cycle: int = 1, *, winners: Sequence[int] = (0,), key: SigningKey = FIRST, signed: bool = True
) -> CycleId:
    """A whole cycle, scored and signed by the programs that do so in a backend."""
    plan = planned(cycle)
    outcomes = [
        each.model_copy(update={"hotkey": Hotkey(hotkey(each.uid))}) for each in outcomes_of(plan, winners=winners)
    ]
    await append_sealed(log, plan, outcomes)
    await Scoring(log).catch_up()
    if signed:
        await Signing(log, key).catch_up()
    return plan.cycle


def subnet(**rules: Any) -> Chain:
    """The miners of `facts.planned`, and the validator."""
    chain = Chain()
    for uid in range(UID):
        chain.register(hotkey(uid), stake_rao=10**9)
    chain.register(OURS.ss58_address, stake_rao=10**12, permit=True)
    chain.rule(**rules)
    chain.advance()
    return chain


@dataclass
class Workplace:
    """Makes validators that share backends, a chain and a home, one after the other."""

    home: Path
    session: aiohttp.ClientSession
    endpoints: list[str]
    urls: list[str] = field(default_factory=list)
    chain_times: dict[str, float] = field(default_factory=dict)
    wait_s: int = WAIT_S

    @asynccontextmanager
    async def validator(self, *, urls: Sequence[str] = (), **settings: Any) -> AsyncIterator[Validator]:
        times = {name: settings.pop(name) for name in ("clock", "sleep") if name in settings}
        given: dict[str, Any] = {"backend_key": FIRST.address, "netuid": NETUID, "home": self.home} | settings
        chain = SubnetChain(self.endpoints, NETUID, OURS, **self.chain_times)
        backends = [Backend(self.session, url, wait_s=self.wait_s) for url in urls or self.urls]
        validator = Validator(Settings(**given), backends, chain, **times)
        try:
            yield validator
        finally:
            validator.close()
            await chain.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with running(subnet()) as node:
        yield node


@pytest.fixture
async def published(api: Api, read_side: Written) -> Api:
    """The API of a backend with one cycle."""
    await publish(read_side.log)
    await read_side.project()
    return api


@pytest.fixture
def workplace(tmp_path: Path, session: aiohttp.ClientSession, node: Node, published: Api) -> Workplace:
    return Workplace(tmp_path, session, [node.url], [published.base_url])
