"""What the largest cycle costs the scheduler: `python -m tests.bench.planning [EPISODES]`, 50 unless said otherwise.

256 miners on eight environments, so many episodes each; 102,400 tasks with 50. A server that syncs before it
acknowledges, and the real scheduler: it plans and queues, is killed, offers everything to the queue once more, and
follows outcomes that another process appends one by one, `RATE` a second, as workers would. Then come the rest, the
spot checks and the weights.
Beside it the same cycle is driven by a process that is nothing but a conductor, and a third one only reads and
decodes what they read.

| line       | ours                                                     | limit                                     |
|------------|----------------------------------------------------------|-------------------------------------------|
| queueing   | from the seed to the last task                           | the same bytes in batches made beforehand |
| accounting | processor time at `RATE` outcomes a second, less at rest | reading and decoding the same batches     |

Wanted: planned and queued within `QUEUED_WITHIN_S`, and again after a crash in `RESTORED_WITHIN_S`; memory under
`MEMORY_MIB_MAX`; accounting under `CORE_MAX` of a core.
"""

from __future__ import annotations

import asyncio
import base64
import math
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvloop

from events import frames, subjects
from events.codec import decode, decode_as, draft
from events.connection import Connection, connect, parse
from events.cycles import CyclePlanned
from events.envelope import begin
from events.ids import CycleId, EpisodeKey
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.log import BATCH_MAX, Conflict, Draft
from events.stream_settings import TASKS, VERIFIERS, WORKERS
from events.streams import ensure_streams
from events.tasks import EpisodeTask
from producers.blocks import ClockBlocks
from producers.cycles.conductor import conduct
from producers.cycles.master_key import read_or_create_master_key
from producers.cycles.watch import BEAT_S
from producers.scheduling import GENESIS
from sim.suite import DEFAULT_ENVIRONMENTS
from tests.bench.export import peak_mib
from tests.bench.stream import cpu_s
from tests.controls import facts
from tests.eventually import eventually
from tests.fixtures.nats import running
from tests.producers import driving

MINERS, EPISODES = 256, 50
RATE = 1_000
"""Outcomes per second."""
WARM_UP_S, WINDOW_S, REST_S = 2.0, 15.0, 3.0
BEGUN_S = 1.0
"""Processor time in which each process has imported what it needs."""
QUEUED_WITHIN_S, RESTORED_WITHIN_S, MEMORY_MIB_MAX, CORE_MAX = 15.0, 30.0, 300.0, 0.10
CYCLE = CycleId(1)
ROOT = Path(__file__).parents[2]
MINER = """[[miner]]
hotkey = "{hotkey}"
uid = {uid}
endpoint = "http://127.0.0.1:{port}"
repo = "user/policy-{uid}"
revision = "0123abcd"
committed_block = 10
"""


@dataclass(frozen=True)
class Stage:
    """Where everything happens."""

    url: str
    other_url: str
    """Of a second server, which has nothing else to do."""
    home: Path
    episodes: int

    @property
    def tasks(self) -> int:
        return MINERS * len(DEFAULT_ENVIRONMENTS) * self.episodes

    @contextmanager
    def scheduler(self) -> Iterator[int]:
        """A scheduler's process id. Killed at the end as a crash would."""
        with (self.home / "scheduler.log").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "kinitro.py"), *self._arguments()],
                cwd=ROOT,
                env=os.environ | {"KINITRO_HOME": str(self.home)},
                stdout=output,
                stderr=output,
            )
        try:
            yield process.pid
        finally:
            process.kill()
            process.wait()

    def _arguments(self) -> Sequence[str]:
        roster = self.home / "roster.toml"
        roster.write_text(
            "".join(MINER.format(hotkey=facts.hotkey(uid), uid=uid, port=9_000 + uid) for uid in range(MINERS))
        )
        return (
            *("scheduler", "--nats-url", self.url, "--network", "local", "--roster", str(roster)),
            *("--observation-profile", "state/1", "--episodes-per-env", str(self.episodes), "--verification"),
        )


@contextmanager
def process(target: Any, *arguments: Any) -> Iterator[int]:
    """The id of a process of ours, ended at the end."""
    child = multiprocessing.get_context("spawn").Process(target=target, args=arguments, daemon=True)
    child.start()
    assert child.pid is not None
    try:
        yield child.pid
    finally:
        child.kill()
        child.join()


def conductor(stage: Stage) -> None:
    uvloop.run(_conductor(stage))


async def _conductor(stage: Stage) -> None:
    """Nothing but what drives a cycle that is planned already."""
    using = driving.settings(master_key=read_or_create_master_key(stage.home / "master.key"))
    async with await connect(stage.url, "conductor") as connection:
        log, queue, blocks = JetStreamLog(connection), JetStreamQueue(connection), ClockBlocks("local", GENESIS)
        await conduct(CYCLE, log=log, queue=queue, blocks=blocks, settings=using, report=lambda _: None)
        await asyncio.Event().wait()


def reader(url: str) -> None:
    uvloop.run(_reader(url))


async def _reader(url: str) -> None:
    """What nobody who accounts for outcomes can do without, as seldom as the conductor does it."""
    async with await connect(url, "reader") as connection:
        async for batch in JetStreamLog(connection).follow(subject=subjects.cycle(CYCLE)):
            for stored in batch:
                decode(stored)
            await asyncio.sleep(BEAT_S)


def workers(url: str) -> None:
    uvloop.run(_workers(url))


async def _workers(url: str) -> None:
    """Take tasks, and append an outcome for each by itself, `RATE` a second, until they are killed."""
    async with await connect(url, "workers") as connection:
        log, working = JetStreamLog(connection), set[asyncio.Task[None]]()

        async def work(task: EpisodeTask, message: Any) -> None:
            with suppress(Conflict):  # an outcome that broke the silence
                await log.append([outcome(task.key)])
            await message.ack()

        started, number = time.monotonic(), 0
        async for message in taken(connection, WORKERS):
            await asyncio.sleep(max(0.0, started + number / RATE - time.monotonic()))
            one = asyncio.create_task(work(EpisodeTask.model_validate_json(message.data), message))
            working.add(one)
            one.add_done_callback(working.discard)
            number += 1


def verifiers(url: str) -> None:
    uvloop.run(_verifiers(url))


async def _verifiers(url: str) -> None:
    """Find nothing out, and say so."""
    async with await connect(url, "verifiers") as connection:
        log = JetStreamLog(connection)
        async for message in taken(connection, VERIFIERS):
            event = facts.verification_inconclusive(uid=orjson.loads(message.data)["uid"])
            with suppress(Conflict):  # the other conductor has queued it again
                await log.append([draft(begin(event, source="/bench"))])
            await message.ack()


def outcome(key: EpisodeKey) -> Draft:
    return draft(begin(facts.completed(key, success=(key.uid + key.index) % 3 == 0), source="/bench"))


async def taken(connection: Connection, durable: str) -> AsyncGenerator[Any, None]:
    """Messages of the queue, for ever."""
    subscription = await connection.client.jetstream().pull_subscribe_bind(durable, stream=TASKS)
    while True:
        with suppress(TimeoutError):
            for message in await subscription.fetch(500, timeout=1):
                yield message


class Bench:
    """One run on one stage, in the order in which things happen."""

    def __init__(self, stage: Stage, connection: Connection) -> None:
        self._stage = stage
        self._connection = connection
        self._log = JetStreamLog(connection)
        self._queue = JetStreamQueue(connection)

    async def run(self) -> None:
        with self._stage.scheduler() as pid:
            await self._queueing(pid)
        await self._forget_last_task()
        with self._stage.scheduler() as pid:
            await self._restoring(pid)
            with process(conductor, self._stage) as alone, process(reader, self._stage.url) as bare:
                processes = {"the scheduler": pid, "its conductor alone": alone, "read and decode": bare}
                await self._accounting(processes)
                await self._ending(processes)

    async def _queueing(self, pid: int) -> None:
        began = time.monotonic()
        await self._there(subjects.plan(CYCLE))
        planned = time.monotonic()
        print(f"planned {planned - began:.1f} s after the start; {peak_mib(pid):.0f} MiB until then", flush=True)
        await self._there(subjects.seed(CYCLE))
        seeded, used = time.monotonic(), cpu_s(pid)
        await eventually(self._is_full)
        took_s = time.monotonic() - seeded
        print(
            f"{self._stage.tasks:,} tasks queued in {took_s:.2f} s from the seed (wanted with the plan:"
            f" {QUEUED_WITHIN_S:g} s); the seed came {seeded - planned:.1f} s after the plan; processor"
            f" {cpu_s(pid) - used:.2f} s, peak memory {peak_mib(pid):.0f} MiB",
            flush=True,
        )
        raw_s = await self._raw()
        print(f"  batches of the same bytes made beforehand: {raw_s:.2f} s; ratio {raw_s / took_s:.2f}", flush=True)

    async def _raw(self) -> float:
        """Seconds in which a server of its own takes tasks as long as ours."""
        message = (await self._connection.api(f"STREAM.MSG.GET.{TASKS}", {"seq": self._stage.tasks // 2}))["message"]
        body = base64.b64decode(message["data"])
        plan = await self._plan()
        drafts = [Draft(subjects.task(key), subjects.task(key), body) for key in keys(plan)]
        async with await connect(self._stage.other_url, "raw") as connection:
            await ensure_streams(connection)
            prepared = []
            for start in range(0, len(drafts), BATCH_MAX):
                reply, answer = connection.expect()
                prepared.append((frames.append(drafts[start : start + BATCH_MAX], reply), answer))
            began = time.monotonic()
            for buffer, answer in prepared:
                await connection.send(buffer)
                parse(await answer)
            return time.monotonic() - began

    async def _forget_last_task(self) -> None:
        """So that it can be seen when all were offered to the queue once more."""
        info = await self._connection.api(f"STREAM.INFO.{TASKS}")
        await self._connection.api(f"STREAM.MSG.DELETE.{TASKS}", {"seq": info["state"]["last_seq"]})

    async def _restoring(self, pid: int) -> None:
        began = time.monotonic()
        await eventually(self._is_full)
        print(
            f"killed and started again, the last task is back after {time.monotonic() - began:.2f} s (wanted"
            f" {RESTORED_WITHIN_S:g} s); processor {cpu_s(pid):.2f} s",
            flush=True,
        )

    async def _accounting(self, processes: Mapping[str, int]) -> None:
        ahead = keys(await self._plan())
        await eventually(lambda: self._at_rest(next(ahead), processes.values()), 120)
        seconds = min(WINDOW_S, self._stage.tasks / RATE / 2)
        before = {name: cpu_s(pid) for name, pid in processes.items()}
        await asyncio.sleep(REST_S)
        rest = {name: (cpu_s(pid) - before[name]) / REST_S for name, pid in processes.items()}
        first = await self._log.last_sequence()
        with process(workers, self._stage.url):
            await self._reached(first + int(RATE * WARM_UP_S))
            began, before = time.monotonic(), {name: cpu_s(pid) for name, pid in processes.items()}
            await self._reached(first + int(RATE * (WARM_UP_S + seconds)))
            took_s = time.monotonic() - began
            busy = {name: (cpu_s(pid) - before[name]) / took_s - rest[name] for name, pid in processes.items()}
        print(
            f"{RATE * seconds / took_s:,.0f} outcomes/s for {took_s:.1f} s (wanted under {CORE_MAX:.0%} of a core):"
        )
        for name in processes:
            ratio = busy["read and decode"] / busy[name] if busy[name] else math.inf
            print(
                f"  {name:<20} {busy[name]:6.1%} of a core, at rest {rest[name]:.1%}; ratio {ratio:.2f}", flush=True
            )

    async def _ending(self, processes: Mapping[str, int]) -> None:
        with process(verifiers, self._stage.url):
            while left := await self._left():
                with suppress(Conflict):  # what the workers had under way when they were killed
                    for start in range(0, len(left), BATCH_MAX):
                        await self._log.append(left[start : start + BATCH_MAX])
            self._tell_memory("with all outcomes", processes)
            moment = time.monotonic()
            for name, subject in {
                "recordings read, all checked and sealed": subjects.seal(CYCLE),
                "scored": subjects.weights(CYCLE),
                "signed": subjects.signed_weights(CYCLE),
            }.items():
                await self._there(subject)
                before, moment = moment, time.monotonic()
                print(f"{name}: {moment - before:.2f} s more", flush=True)
        self._tell_memory("at the end", processes)

    async def _left(self) -> list[Draft]:
        """Outcomes of the episodes that have none."""
        done = {it.subject async for batch in self._log.read(subject=subjects.outcomes(CYCLE)) for it in batch}
        return [outcome(key) for key in keys(await self._plan()) if subjects.outcome(key) not in done]

    def _tell_memory(self, when: str, processes: Mapping[str, int]) -> None:
        told = ", ".join(f"{name} {peak_mib(pid):.0f}" for name, pid in processes.items())
        print(f"peak memory {when}, in MiB (wanted {MEMORY_MIB_MAX:g}): {told}", flush=True)

    async def _at_rest(self, key: EpisodeKey, pids: Collection[int]) -> bool:
        """Whether these processes, once begun, have come to do next to nothing.

        They get an outcome each time: of long silence they would offer all tasks to the queue once more.
        """
        await self._log.append([outcome(key)])
        before = [cpu_s(pid) for pid in pids]
        await asyncio.sleep(REST_S)
        return all(it > BEGUN_S and cpu_s(pid) - it < 0.1 for pid, it in zip(pids, before, strict=True))

    async def _plan(self) -> CyclePlanned:
        stored = await self._log.last(subjects.plan(CYCLE))
        assert stored is not None
        return decode_as(CyclePlanned, stored).event

    async def _is_full(self) -> bool:
        return await self._queue.pending() == self._stage.tasks

    async def _there(self, subject: str) -> None:
        async def found() -> bool:
            return await self._log.last(subject) is not None

        await eventually(found, 120)

    async def _reached(self, sequence: int) -> None:
        async def reached() -> bool:
            return await self._log.last_sequence() >= sequence

        await eventually(reached, 120)


def keys(plan: CyclePlanned) -> Iterator[EpisodeKey]:
    for index in range(plan.episodes_per_environment):
        for env in plan.environments:
            for entry in plan.roster:
                yield EpisodeKey(plan.cycle, entry.uid, env, index)


async def bench(stage: Stage) -> None:
    async with await connect(stage.url, "bench") as connection:
        await ensure_streams(connection)
        await Bench(stage, connection).run()


def main() -> None:
    episodes = int(sys.argv[1]) if len(sys.argv) > 1 else EPISODES
    with running() as server, running() as other, tempfile.TemporaryDirectory(prefix="kinitro-bench-") as home:
        uvloop.run(bench(Stage(server.url, other.url, Path(home), episodes)))


if __name__ == "__main__":
    main()
