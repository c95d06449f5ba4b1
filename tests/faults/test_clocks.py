"""Clocks are off by ten minutes, each another way. The clocks of both servers are right."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta

import pytest

from events import subjects
from events.cycles import CycleAbandoned, CycleSealed
from events.envelope import utc_now
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeForfeited
from events.log import EventLog
from events.weights import WeightsWithheld
from tests.faults.conftest import Tell
from tests.faults.shifted import off_by
from tests.faults.stage import EPISODES, ROLES, stage
from tests.faults.verdict import audited
from tests.system.cycles import CYCLE, Result, Subnet, all_events

OFF_S = 600


@pytest.mark.parametrize("ahead", [("scheduler", "worker-2", "api"), ("projector", "worker-1")], ids="+".join)
async def test_off_by_ten_minutes(ahead: tuple[str, ...], subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    off = {role: OFF_S if role in ahead else -OFF_S for role in ROLES}
    async with stage(subnet, own={role: off_by(seconds) for role, seconds in off.items()}) as it:
        began = utc_now()
        await it.unharmed(undisturbed)
        lasted = utc_now() - began
        moments = await moments_of(it.log)
        assert "scheduler" in moments
        for role, seen in moments.items():
            theirs = began + timedelta(seconds=off[role])
            assert theirs <= min(seen) <= max(seen) <= theirs + lasted, f"{role} has another clock than meant"
        told = ", ".join(f"{role} {off[role]:+.0f} s" for role in sorted(moments))
        tell(f"the same weights, its events dated {told}")


async def test_a_conductor_whose_clock_is_past_the_deadline(subnet: Subnet, tell: Tell) -> None:
    hurried = subnet.under(cycle_deadline=OFF_S // 2)
    async with stage(hurried, roles=("scheduler",), own={"scheduler": off_by(OFF_S)}) as it:
        await it.stored(subjects.signed_root(CYCLE))
        kinds = Counter(type(recorded.event) for recorded in await all_events(it.log))
        assert kinds[EpisodeAbandoned] == EPISODES
        assert kinds[CycleAbandoned] == kinds[WeightsWithheld] == 1
        assert (await audited(it.log)).agrees
        tell(f"all {EPISODES} episodes abandoned at once, and no weights; the audit agrees")


async def moments_of(log: EventLog) -> dict[str, list[datetime]]:
    """What the clocks of those who have written events showed, by role."""
    moments = defaultdict[str, list[datetime]](list)
    for recorded in await all_events(log):
        match recorded.event:
            case EpisodeCompleted() | EpisodeForfeited() as event:
                moments[event.worker].append(recorded.time)
            case CycleSealed():
                moments["scheduler"].append(recorded.time)
    return moments
