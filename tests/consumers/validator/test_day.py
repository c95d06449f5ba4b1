"""A day of the chain: nodes that break and come back, submissions that are lost, a validator that crashes.

Time is the chain's: the validator's pauses are what makes blocks. `KINITRO_TESTS_LONG=1` lives more days, and some on
a subnet that seals its weights first.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from consumers.validator.facts import BLOCK_S
from tests.chain.chain import Block
from tests.chain.node import Fate, Node, running
from tests.consumers.validator.conftest import UID, Workplace, publish, subnet
from tests.eventually import eventually
from tests.fixtures.http import Api, Written
from tests.fixtures.projecting import running as projecting

LONG = os.environ.get("KINITRO_TESTS_LONG") == "1"
DAY_BLOCKS = 7_200
CYCLE_BLOCKS = 400
RATE_LIMIT = 100
TROUBLE_CHANCE = 0.05
"""At every pause of the validator."""
TROUBLE_WITH_CYCLE_CHANCE = 0.7
OUTAGE_BLOCKS_MAX = 40

FIRST_WINS, SECOND_WINS = ((0, 65_535), (1, 1_201)), ((0, 1_201), (1, 65_535))


class Crashed(Exception):
    """The validator was killed while it waited."""


class DayIsOver(Exception):
    """Enough."""


@dataclass
class Day:
    """Makes blocks while the validator sleeps, and with them all that happens in a day."""

    nodes: list[Node]
    side: Written
    api: Api
    chance: random.Random
    sealed: bool = False
    set_weights: list[object] = field(default_factory=list)
    """What was set, or how much was committed, in order."""
    expected: list[object] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    _asleep_s: float = 0.0
    _cycle: int = 0
    _back_at: int | None = None
    _stopped: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chain = self.nodes[0].chain
        self._start = self.chain.head.number
        self.chain.listeners.append(self)

    def produced(self, block: Block) -> None:
        if block.extrinsics and block.world.neurons[UID].last_update == block.number:
            self.set_weights.append(len(self.set_weights) if self.sealed else block.world.weights[UID])

    def finalized(self, block: Block) -> None:
        return

    def retracted(self, block: Block) -> None:
        return

    async def sleep(self, seconds: float) -> None:
        self._asleep_s += seconds
        while self._asleep_s >= BLOCK_S:
            self._asleep_s -= BLOCK_S
            await self._block()
        if self.chance.random() < TROUBLE_CHANCE:
            await self._trouble()

    async def _block(self) -> None:
        age = self.chain.head.number - self._start
        if self._back_at is not None and self.chain.head.number >= self._back_at:
            await self._all_well()
        is_new_cycle = age % CYCLE_BLOCKS == 0 and age < DAY_BLOCKS
        if is_new_cycle:
            await self._publish()
        if age >= DAY_BLOCKS + CYCLE_BLOCKS:
            raise DayIsOver
        if age >= DAY_BLOCKS:
            await self._all_well()
        for sealed in self.chain.world.sealed:
            if self.chain.head.number > sealed.block + 360:
                self.chain.reveal(sealed.hotkey, dict([FIRST_WINS, SECOND_WINS][self._cycle % 2]))
        self.chain.advance()
        if is_new_cycle and self.chance.random() < TROUBLE_WITH_CYCLE_CHANCE:
            await self._trouble()

    async def _publish(self) -> None:
        """Every fifth cycle gives no weights."""
        self._cycle += 1
        cycle, first = self._cycle, self._cycle % 2 == 0
        nobody = cycle % 5 == 0
        await publish(self.side.log, cycle, winners=() if nobody else (0,) if first else (1,))
        if not nobody:
            self.expected.append(len(self.expected) if self.sealed else FIRST_WINS if first else SECOND_WINS)
            await eventually(lambda: self._is_served(cycle))

    async def _is_served(self, cycle: int) -> bool:
        answer = await self.api.get("/v1/weights/latest")
        return answer.status == 200 and answer.json["cycle_id"] == cycle

    async def _trouble(self) -> None:
        if self.chain.head.number - self._start >= DAY_BLOCKS:
            return
        kind = self.chance.choice(["cut", "cut later", "restart", "stop", "lost", "taken", "dropped", "crash"])
        self.troubles.append(kind)
        node = self.chance.choice(self.nodes)
        match kind:
            case "cut":
                node.cut()
            case "cut later":
                node.cut_after(self.chance.randint(1, 60))
            case "restart":
                if node not in self._stopped:
                    await node.restart()
            case "stop":
                for each in self.chance.sample(self.nodes, self.chance.randint(1, len(self.nodes))):
                    await self._stop(each)
            case "crash":
                raise Crashed
            case _:
                fates = {"lost": Fate.LOST_AND_CUT, "taken": Fate.TAKEN_AND_CUT, "dropped": Fate.DROPPED}
                for each in self.nodes:
                    each.fate = fates[kind]
        self._back_at = self.chain.head.number + self.chance.randint(1, OUTAGE_BLOCKS_MAX)

    async def _stop(self, node: Node) -> None:
        if node not in self._stopped:
            await node.stop()
            self._stopped.append(node)

    async def _all_well(self) -> None:
        self._back_at = None
        for node in self.nodes:
            node.fate = Fate.KNOWN
        while self._stopped:
            await self._stopped.pop().start()


@pytest.fixture
async def nodes() -> AsyncIterator[list[Node]]:
    chain = subnet(weights_rate_limit=RATE_LIMIT)
    async with running(chain) as first, running(chain) as second:
        yield [first, second]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("sealed", [False, True] if LONG else [False], ids=lambda it: "sealed" if it else "plain")
@pytest.mark.parametrize("number", range(3 if LONG else 1))
async def test_every_cycle_of_a_day_is_submitted_once(
    api: Api,
    read_side: Written,
    nodes: list[Node],
    session: aiohttp.ClientSession,
    tmp_path: Path,
    number: int,
    sealed: bool,
) -> None:
    seed = random.randrange(2**32)
    print(f"day {number}, seed {seed}")
    nodes[0].chain.rule(commit_reveal=sealed)
    day = Day(nodes, read_side, api, random.Random(seed), sealed)
    workplace = Workplace(tmp_path, session, [node.url for node in nodes], [api.base_url], wait_s=0)
    async with projecting(read_side.log, read_side.url):
        for _ in range(DAY_BLOCKS):
            try:
                async with workplace.validator(sleep=day.sleep) as validator:
                    await validator.follow()
            except Crashed:
                continue
            except DayIsOver:
                break
    print(f"{len(day.expected)} cycles with weights, {Counter(day.troubles)}")
    assert day.set_weights == day.expected, f"seed {seed}: {day.troubles}"
    assert len(day.expected) == 15
    assert day.troubles
