"""Random episodes over all tasks, audited in other processes than those that ran them: `python -m tests.bench.audit`.

Two miners, an expert whose sight is blurred and a random one, on every environment, with seeds from a cycle number
drawn anew each time. Says what recordings cost, too: bytes, and time beside the episode's own.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from consumers.audit.again import Simulators, simulators
from consumers.audit.case import Case
from consumers.audit.checks import Audit
from consumers.audit.episode import audit
from consumers.audit.sources import LogSource
from events.connection import Connection, connect
from events.cycles import CyclePlanned
from events.ids import Uid
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.stream_settings import TRACES_KEPT
from events.streams import ensure_streams
from events.traces import TraceStore
from events.variation import STANDARD
from sim.experts import PolicyKind
from sim.http.server import PolicyServer
from sim.record import decode_record
from sim.suite import ENVIRONMENTS
from sim.versions import PROCESS_ENVIRONMENT
from tests.controls import facts
from tests.controls.sealed_cycles import append_unsealed
from tests.eventually import eventually
from tests.fixtures.evaluated import keys_of, seal, tasks_of
from tests.fixtures.nats import running

ROOT = Path(__file__).parents[2]
PROCESSES = 2
EPISODES_PER_PAIR = 2
POLICIES = {Uid(0): PolicyKind.NOISY, Uid(1): PolicyKind.RANDOM}
TERMS = facts.TERMS.model_copy(update={"act_deadline_ms": 20_000, "reset_deadline_ms": 20_000, "variation": STANDARD})
RUN_S = 900.0


def main() -> None:
    os.environ.update(PROCESS_ENVIRONMENT)
    cycle = random.randrange(1, 10**6)
    plan = facts.planned(cycle, environments=ENVIRONMENTS, episodes=EPISODES_PER_PAIR, terms=TERMS)
    with running() as server, simulators(PROCESSES) as elsewhere:
        cases, ran_s = uvloop.run(evaluated(server.url, plan))
        started_s = time.monotonic()
        audits = uvloop.run(audited(cases, elsewhere))
        audited_s = time.monotonic() - started_s
    for result in audits:
        if not result.agrees:
            print(f"{result.episode}: {result.verdict}")
    tell(cases, ran_s, audited_s)
    verdicts = Counter(result.verdict for result in audits)
    print(f"identical: {verdicts['identical']} of {len(audits)}")
    sys.exit(verdicts["identical"] < len(audits))


async def evaluated(nats_url: str, plan: CyclePlanned) -> tuple[list[Case], float]:
    """The cases of a cycle that worker processes have run, and the seconds that took."""
    servers = {uid: PolicyServer(kind, port=0) for uid, kind in POLICIES.items()}
    for policy in servers.values():
        await policy.start()
    async with await connect(nats_url, "audit") as connection:
        await ensure_streams(connection, traces=TRACES_KEPT)
        await append_unsealed(JetStreamLog(connection), plan, [])
        await JetStreamQueue(connection).put(tasks_of(plan, {uid: it.url for uid, it in servers.items()}))
        started_s = time.monotonic()
        async with executor(nats_url):
            await eventually(lambda: is_empty(connection), RUN_S)
        ran_s = time.monotonic() - started_s
        await seal(connection, plan)
        source = LogSource(JetStreamLog(connection), TraceStore(connection))
        cases = [await source.case(key) for key in keys_of(plan)]
    for policy in servers.values():
        await policy.stop()
    return cases, ran_s


@asynccontextmanager
async def executor(nats_url: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "kinitro.py"), "executor", "--nats-url", nats_url),
        *("--workers", str(PROCESSES), "--allow-private-endpoints", "--log-level", "ERROR"),
        cwd=ROOT,
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def is_empty(connection: Connection) -> bool:
    return await JetStreamQueue(connection).pending() == 0


async def audited(cases: Sequence[Case], elsewhere: Simulators) -> list[Audit]:
    return list(await asyncio.gather(*(audit(case, elsewhere) for case in cases)))


def tell(cases: Sequence[Case], ran_s: float, audited_s: float) -> None:
    steps = sum(case.claim.steps for case in cases)
    stored = sum(len(case.recording) for case in cases)
    tracks = [decode_record(case.recording).track for case in cases]
    plain = steps * (4 * 4 + 8) + 8 * sum(len(track.checkpoints) for track in tracks)
    print(f"{len(cases)} episodes on {len({case.key.env for case in cases})} environments, {steps} steps")
    print(f"run through HTTP in {ran_s:.0f} s, again in {audited_s:.0f} s, by {PROCESSES} processes each")
    share = stored / plain
    print(f"recordings: {stored / len(cases):.0f} bytes an episode, {share:.2f} of what is in them")


if __name__ == "__main__":
    main()
