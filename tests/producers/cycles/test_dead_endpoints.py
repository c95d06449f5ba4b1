"""A real cycle against endpoints that fail: NATS, a conductor that dies, a worker, physics, policies over HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from consumers.simulation.worker import WorkerSettings, run_worker
from events import subjects
from events.codec import draft
from events.connection import Connection
from events.envelope import begin
from events.episodes import EpisodeCompleted, EpisodeForfeited, ForfeitCode
from events.ids import Uid
from events.log import EventLog
from producers.cycles.chances import Standing
from tests.controls import facts
from tests.eventually import eventually
from tests.fixtures.nats import NatsProcess
from tests.fixtures.policies import Act, lazy, served
from tests.fixtures.ports import free_port
from tests.producers.driving import JetStreamStage, check_whole, drive, events_of, fold, settings, stop

LIMIT, SLOTS, EACH = 3, 8, 20
USING = settings(
    episodes=EACH // 2,
    requeue_after_s=5,
    terms=facts.TERMS.model_copy(
        update={"forfeits_in_row_max": LIMIT, "act_deadline_ms": 20_000, "reset_deadline_ms": 20_000, "steps_max": 3}
    ),
)
DEAD, GARBAGE, FLAKY, GOOD = (Uid(uid) for uid in range(4))


class Held:
    """A good policy that holds its answers back until it is told to go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, body: bytes) -> web.StreamResponse:
        await self.go_on.wait()
        return await lazy(body)


class Flaky:
    """A good policy that is down from its second act on, until it is repaired."""

    def __init__(self) -> None:
        self._acts = 0
        self.repaired = False

    async def __call__(self, body: bytes) -> web.StreamResponse:
        self._acts += 1
        return await lazy(body) if self.repaired or self._acts == 1 else web.Response(status=503)


async def garbage(_: bytes) -> web.StreamResponse:
    return web.Response(body=b"<html>It works!</html>")


@asynccontextmanager
async def miners(policies: Iterable[Act], log: EventLog) -> AsyncIterator[None]:
    """Registers one miner that is not there, and one for each of these policies."""
    async with AsyncExitStack() as stack:
        urls = [f"http://127.0.0.1:{free_port()}"]
        urls += [(await stack.enter_async_context(served(act))).url for act in policies]
        for uid, url in enumerate(urls):
            it = facts.discovered(uid)
            commitment = it.commitment.model_copy(update={"endpoint": url})
            await log.append([draft(begin(it.model_copy(update={"commitment": commitment}), source="/tests"))])
        yield


@asynccontextmanager
async def running_worker(server: NatsProcess) -> AsyncIterator[None]:
    ending = asyncio.Event()
    using = WorkerSettings(server.url, "worker-1", episodes_in_flight=SLOTS, allow_private_endpoints=True, grace_s=1)
    task = asyncio.create_task(run_worker(using, ending))
    try:
        yield
    finally:
        ending.set()
        await task


def aside(log: EventLog, *uids: Uid) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return (await fold(log)).chances.standings() == dict.fromkeys(uids, Standing.ASIDE)

    return condition


async def ends_of(log: EventLog, uid: Uid) -> Counter[str]:
    """How the miner's episodes ended: `completed`, or the code of the forfeit."""
    ended = [it.event for it in await events_of(log, subjects.OUTCOMES)]
    assert all(isinstance(it, EpisodeCompleted | EpisodeForfeited) for it in ended)
    mine = [it for it in ended if isinstance(it, EpisodeCompleted | EpisodeForfeited) and it.uid == uid]
    return Counter(it.code.value if isinstance(it, EpisodeForfeited) else "completed" for it in mine)


async def test_dead_endpoints_cost_little_and_who_comes_back_is_run(
    nats_server: NatsProcess, nats: Connection
) -> None:
    stage, flaky, good = JetStreamStage(nats), Flaky(), Held()
    async with miners((garbage, flaky, good), stage.log), running_worker(nats_server):
        first = asyncio.create_task(drive(stage, using=USING))
        await eventually(aside(stage.log, DEAD, GARBAGE, FLAKY))
        await stop(first)
        flaky.repaired = True
        second = asyncio.create_task(drive(stage, using=USING))
        good.go_on.set()
        await asyncio.wait_for(second, 90)
    await check_whole(stage.log)
    assert await ends_of(stage.log, GOOD) == {"completed": EACH}
    for uid, code in ((DEAD, ForfeitCode.UNREACHABLE), (GARBAGE, ForfeitCode.MALFORMED)):
        ends = await ends_of(stage.log, uid)
        assert set(ends) == {code.value, ForfeitCode.GIVEN_UP.value}
        assert LIMIT + 1 <= ends[code.value] <= LIMIT + SLOTS + 1
    ends = await ends_of(stage.log, FLAKY)
    assert set(ends) == {ForfeitCode.HTTP_ERROR.value, "completed"}
    assert ends.total() == EACH
