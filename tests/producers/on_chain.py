"""Cycles about a subnet: what stands around producers that read a chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from events.chain.link import ChainLink
from events.cycles import CyclePlanned, CycleSeeded
from events.event import Event
from producers.cycles.scheduler import run_cycle_once, run_scheduler
from producers.discovery.subtensor import SubtensorBlocks, SubtensorMetagraph
from producers.discovery.subtensor_source import SubtensorSource
from producers.progress import Progress, Retrying
from tests.chain.chain import NETUID, Chain
from tests.chain.node import Node, running
from tests.chain.subnets import populated
from tests.eventually import eventually
from tests.producers.driving import CYCLE, MemoryStage, events_of, settings, stop

USING = settings().model_copy(update={"netuid": NETUID})


@dataclass
class Scene:
    """A stage, and a chain beside it."""

    chain: Chain
    node: Node
    link: ChainLink
    stage: MemoryStage = field(default_factory=MemoryStage)
    told: list[Progress] = field(default_factory=list)

    @property
    def blocks(self) -> SubtensorBlocks:
        return SubtensorBlocks(
            self.link, retry_s=0.0, poll_s=0.01, tell=lambda it: self.told.append(Retrying(str(it)))
        )

    @property
    def miners(self) -> SubtensorSource:
        return SubtensorSource(SubtensorMetagraph(self.link, NETUID, retry_s=0.0))

    async def once(self, *, deadline_s: int = 3600) -> None:
        await run_cycle_once(
            CYCLE,
            log=self.stage.log,
            queue=self.stage.queue,
            blocks=self.blocks,
            miners=self.miners,
            settings=USING.model_copy(update={"deadline_s": deadline_s}),
            report=self.told.append,
        )

    @asynccontextmanager
    async def scheduler(self) -> AsyncIterator[None]:
        task = asyncio.create_task(
            run_scheduler(
                log=self.stage.log,
                queue=self.stage.queue,
                blocks=self.blocks,
                miners=self.miners,
                settings=USING,
                report=self.told.append,
            )
        )
        try:
            yield
        finally:
            await stop(task)

    async def of(self, *kinds: type[Event]) -> list[Event]:
        return [it.event for it in await events_of(self.stage.log) if isinstance(it.event, kinds)]

    async def has(self, kind: type[Event]) -> bool:
        return bool(await self.of(kind))


@asynccontextmanager
async def on_chain() -> AsyncIterator[Scene]:
    """A chain with three miners, and nothing in the log."""
    chain = populated(3)
    async with running(chain) as node:
        link = ChainLink([node.url])
        try:
            yield Scene(chain, node, link)
        finally:
            await link.close()


async def seeded(scene: Scene) -> None:
    """The chain goes on, block by block, until the cycle has its seeds."""

    async def next_block() -> bool:
        if await scene.has(CyclePlanned):
            scene.chain.advance()
        return await scene.has(CycleSeeded)

    await eventually(next_block)
