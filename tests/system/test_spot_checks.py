"""Spot checks as operators and miners have them: real processes, from a commitment to weights and back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from events import subjects
from events.codec import decode
from events.ids import CycleId, Uid
from events.jetstream import JetStreamLog
from events.verification import (
    VerificationFailed,
    VerificationOutcome,
    VerificationPassed,
)
from tests.chain.subnets import hotkey
from tests.fixtures.http import Api
from tests.fixtures.owned import signed
from tests.system import processes
from tests.system.backends import Command, backend, new_home, run_to_end
from tests.system.cycles import (
    CYCLE,
    CYCLE_S,
    Result,
    log_of,
    plan_and_seed,
    result_of,
    scored,
)
from tests.system.reading import projected
from tests.system.spot_checked import (
    COMMITTED_GAIN,
    GONE,
    HONEST,
    OTHER_GAIN,
    TAMPERED,
    Checked,
    checked_subnet,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(700),
    pytest.mark.asyncio(loop_scope="module"),
]

NEXT = CycleId(2)
VERIFIER, SCHEDULER = "kinitro.py verifier", "kinitro.py scheduler"
OF_THIS_RUN = {"duration_s", "verifier"}
"""What of a check's outcome does not follow from the log and the policies."""


@dataclass(frozen=True)
class First:
    """The first cycle, which nobody disturbed, and its home, on which nothing runs any more."""

    home: Path
    result: Result
    checks: dict[Uid, dict[str, Any]]
    scores: dict[Uid, dict[str, Any]]
    diagnosis: dict[str, Any]
    """What the tampered miner's owner is told."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def checked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Checked]:
    async with checked_subnet(tmp_path_factory.mktemp("miners")) as checked:
        yield checked


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def first(checked: Checked) -> AsyncIterator[First]:
    with new_home() as home:
        await plan_and_seed(home, checked.subnet)
        async with running(home, checked) as (backend, api), log_of(home) as log, asyncio.timeout(CYCLE_S):
            await scored(log)
            await projected(api)
            told = First(
                home,
                await result_of(log),
                {uid: essence(outcome) for uid, outcome in (await outcomes_of(log, CYCLE)).items()},
                await scores(api, CYCLE),
                await diagnosis(api, TAMPERED),
            )
            await backend.stop()
        yield told


async def test_who_serves_something_else_has_no_weight(first: First) -> None:
    assert {uid: (it["type"], it.get("reason")) for uid, it in first.checks.items()} == {
        HONEST: ("kinitro.verification.passed", None),
        TAMPERED: ("kinitro.verification.failed", "actions_differ"),
        GONE: ("kinitro.verification.failed", "repository_refused"),
    }
    assert first.result.u16 == (65535, 0, 0)
    assert {uid: it["unverified"] for uid, it in first.scores.items()} == {HONEST: False, TAMPERED: True, GONE: True}
    assert first.scores[TAMPERED]["points"] == first.scores[HONEST]["points"] != "0"


async def test_its_owner_is_told_what_to_do(first: First, checked: Checked) -> None:
    told = first.diagnosis["verification"]
    assert (told["cycle_id"], told["reason"]) == (CYCLE, "actions_differ")
    assert checked.miners[TAMPERED].repo in told["remedy"]


async def test_killed_verifier_and_scheduler_change_no_check_and_no_weight(first: First, checked: Checked) -> None:
    miner = checked.miners[HONEST]
    with new_home() as home:
        await plan_and_seed(home, checked.subnet)
        miner.hold_after_one_cycle()
        async with running(home, checked) as (backend, api), log_of(home) as log, asyncio.timeout(CYCLE_S):
            await miner.held.wait()
            await nobody_is_told(miner.uid, log, api, backend)
            for name in (VERIFIER, SCHEDULER):
                processes.child(home, name).kill()
            miner.released.set()
            await scored(log)
            assert await result_of(log) == first.result
            assert {uid: essence(it) for uid, it in (await outcomes_of(log, CYCLE)).items()} == first.checks
            await backend.stop()


async def test_who_serves_what_it_committed_is_checked_again_and_has_its_weight(
    first: First, checked: Checked
) -> None:
    """Nobody else is. A third cycle may begin, and does not end before this one is looked at."""
    honest, tampered = checked.miners[HONEST], checked.miners[TAMPERED]
    honest.hold_after_one_cycle()
    tampered.serve_gain(COMMITTED_GAIN)
    seldom = replace(checked, subnet=replace(checked.subnet, rate=Decimal("1e-17"), eval_interval=1))
    try:
        async with running(first.home, seldom) as (backend, api), log_of(first.home) as log, asyncio.timeout(CYCLE_S):
            await scored(log, NEXT)
            await projected(api)
            outcomes = await outcomes_of(log, NEXT)
            assert {uid: type(it) for uid, it in outcomes.items()} == {
                TAMPERED: VerificationPassed,
                GONE: VerificationFailed,
            }
            told = await scores(api, NEXT)
            assert {uid: it["unverified"] for uid, it in told.items()} == {HONEST: False, TAMPERED: False, GONE: True}
            assert told[TAMPERED]["weight"] == told[HONEST]["weight"]
            assert (await diagnosis(api, TAMPERED))["verification"] is None
            assert await check_history(api, TAMPERED) == ["verification_passed", "verification_failed"]
            await no_endpoint_is_told(log, checked)
            await audits_agree(first.home, api)
            honest.released.set()
            await backend.stop()
    finally:
        honest.released.set()
        tampered.serve_gain(OTHER_GAIN)


@asynccontextmanager
async def running(home: Path, checked: Checked) -> AsyncIterator[tuple[Command, Api]]:
    async with backend(home, checked.subnet, HF_ENDPOINT=checked.hub.url, KINITRO_BACKEND_LOG_LEVEL="INFO") as both:
        yield both


async def outcomes_of(log: JetStreamLog, cycle: CycleId) -> dict[Uid, VerificationOutcome]:
    events = [decode(it).event async for batch in log.read(subject=subjects.verifications(cycle)) for it in batch]
    assert all(isinstance(event, VerificationOutcome) for event in events)
    return {event.uid: event for event in events if isinstance(event, VerificationOutcome)}


def essence(outcome: VerificationOutcome) -> dict[str, Any]:
    return {"type": outcome.type, **outcome.model_dump(mode="json", exclude=OF_THIS_RUN)}


async def scores(api: Api, cycle: CycleId) -> dict[Uid, dict[str, Any]]:
    return {Uid(it["uid"]): it for it in (await api.get(f"/v1/scores/{cycle}")).json["standings"]}


async def diagnosis(api: Api, uid: Uid) -> dict[str, Any]:
    """As its owner asks."""
    path, receiver = f"/v1/miners/{hotkey(uid)}/diagnosis", (await api.get("/v1/identity")).json["key"]
    headers = signed(path=path, by=f"hotkey{uid}", receiver=receiver, nonce_ns=time.time_ns())
    answer = await api.get(path, **headers)
    assert answer.status == 200, answer
    told: dict[str, Any] = answer.json
    return told


async def check_history(api: Api, uid: Uid) -> list[str]:
    """The newest first."""
    entries = (await api.get(f"/v1/miners/{hotkey(uid)}/history")).json["history"]
    return [it["kind"] for it in entries if it["kind"].startswith("verification_")]


async def nobody_is_told(uid: Uid, log: JetStreamLog, api: Api, backend: Command) -> None:
    """While a miner is checked, nothing says so."""
    await projected(api)
    assert uid not in await outcomes_of(log, CYCLE)
    answer = await api.get(f"/v1/cycles/{CYCLE}/verifications")
    assert uid not in {it["uid"] for it in answer.json["verifications"]}, answer
    lines = [line for line in backend.output.splitlines() if f'"uid": {uid},' in line]
    assert [line for line in lines if '"event": "kinitro.episode' not in line] == []


async def no_endpoint_is_told(log: JetStreamLog, checked: Checked) -> None:
    """No event of a check holds one."""
    stored = [it async for batch in log.read(subject=subjects.VERIFICATIONS) for it in batch]
    ports = [miner.served.url.rpartition(":")[2].encode() for miner in checked.miners.values()]
    assert stored
    assert not [it for it in stored for port in ports if b":" + port in it.body]


async def audits_agree(home: Path, api: Api) -> None:
    for cycle in (CYCLE, NEXT):
        file = home / f"cycle-{cycle}.ndjson"
        file.write_bytes((await api.get(f"/v1/cycles/{cycle}/events")).body)
        await run_to_end(home, "audit", "cycle", str(cycle), "--file", str(file))
    await run_to_end(home, "audit", "history")
