"""A policy's deadline and its latency are its own: measured with a busy worker, against the policy's own clock."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator

import pytest

from events.ids import EnvId
from sim.http.clock import GRACE_S
from sim.http.policy import HttpPolicy
from sim.policy import Decision, PolicyFailed, PolicyFailure, TaskConfig
from sim.rl_interface import Observation
from sim.spec import ARM_ACTION
from tests.sim.http.timed_policies import Load, TimedPolicies, differences_ms, percentile, run_under_load

DEADLINE_MS = 100.0
LATE_MS = 130
EPISODES, LATE_EPISODES, STEPS = 16, 2, 25

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps when data arrived")


@pytest.fixture
def policies() -> Iterator[TimedPolicies]:
    with TimedPolicies() as server:
        yield server


def test_under_full_load_only_the_policy_that_is_late_misses_its_deadline(policies: TimedPolicies) -> None:
    delays = (50,) * EPISODES + (LATE_MS,) * LATE_EPISODES
    load = Load(delays, "state/1", STEPS, DEADLINE_MS, burners=os.cpu_count() or 1)
    run = run_under_load(policies.url, load)
    policies.stop()
    unfair = [key for key in run.forfeits if policies.taken_ms[key][-1] < DEADLINE_MS]
    assert not unfair, "by the policy's own clock it was in time"
    off = differences_ms(run, policies.taken_ms, 50)
    assert len(off) >= EPISODES, "this machine has no time for the policies"
    assert abs(percentile(off, 50)) < 5
    late = [forfeit for (delay_ms, _), forfeit in run.forfeits.items() if delay_ms == LATE_MS]
    assert late == ["deadline_missed: POST /act: no complete answer within 100 ms"] * LATE_EPISODES


async def asked_while_busy(url: str, delay_ms: int, *, deadline_ms: float, busy_s: float) -> Decision:
    """The loop is blocked from when the request has left until long after the deadline."""
    async with HttpPolicy(f"{url}/{delay_ms}", allow_private_addresses=True) as policy:
        await policy.reset(TaskConfig(EnvId("metaworld/push-v3"), 0), deadline_ms=30_000)
        acting = asyncio.create_task(policy.act(Observation({}), ARM_ACTION, deadline_ms=deadline_ms))
        while not (policy._clock and policy._clock.sent):  # noqa: ASYNC110 it must be the very turn of the loop
            await asyncio.sleep(0)  # yields to the loop, waits for nothing
        time.sleep(busy_s)  # noqa: ASYNC251 the busy worker
        return await acting


@only_linux
async def test_the_workers_own_lateness_is_not_in_the_latency(policies: TimedPolicies) -> None:
    decision = await asked_while_busy(policies.url, 50, deadline_ms=2_000, busy_s=2.5)
    policies.stop()
    (own_ms,) = policies.taken_ms[50, 0]  # more than it was if it lost the CPU right after its answer
    assert 50 - GRACE_S * 1000 <= decision.latency_ms <= own_ms + GRACE_S * 1000 + 2


@only_linux
async def test_a_late_answer_is_late_even_if_the_worker_is_later(policies: TimedPolicies) -> None:
    with pytest.raises(PolicyFailed) as caught:
        await asked_while_busy(policies.url, LATE_MS, deadline_ms=DEADLINE_MS, busy_s=0.3)
    assert caught.value.code == PolicyFailure.DEADLINE_MISSED
    assert caught.value.detail == "POST /act: no complete answer within 100 ms"
