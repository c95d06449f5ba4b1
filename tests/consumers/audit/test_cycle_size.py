"""A large cycle's audit: its memory is some bytes for each episode, and it takes seconds.

`KINITRO_TESTS_LONG=1` audits 102,400 episodes instead of 12,800, and asks for less than a minute.
"""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest

from consumers.audit.cycle.audit import audit_export
from events.cycles import CyclePlanned
from sim.suite import ENVIRONMENTS
from tests.controls import facts
from tests.controls.exports import KEY, cycle_export, exported, key_of
from tests.controls.sealed_cycles import outcomes_of
from tests.controls.spot_checks import checks_of

LONG = os.environ.get("KINITRO_TESTS_LONG") == "1"
MINERS = 256 if LONG else 32
BYTES_PER_EPISODE = 37
"""21 are for the episode's slot: how it ended, what was done, and for how long; the rest is room for the seeds, of
which all miners share one an index."""


def plan_of(episodes: int) -> CyclePlanned:
    return facts.planned(
        1,
        uids=tuple(range(MINERS)),
        environments=ENVIRONMENTS[:8],
        episodes=episodes,
        verification=facts.verification_terms(),
    )


def write_export(path: Path, plan: CyclePlanned) -> None:
    outcomes = outcomes_of(plan, winners=range(1, MINERS, 2))
    checks = checks_of(plan, outcomes)
    assert checks
    path.write_bytes(b"".join(exported(cycle_export(plan, outcomes, checks=checks))))


def peak_bytes(path: Path) -> int:
    with path.open("rb") as lines:
        tracemalloc.start()
        try:
            assert audit_export(facts.planned().cycle, lines, key_of(KEY)).verdict == "identical"
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_memory_grows_by_a_few_bytes_for_each_episode_and_not_by_what_is_said_of_it(tmp_path: Path) -> None:
    small, large = plan_of(12), plan_of(50)
    peaks = []
    for plan in (small, large):
        write_export(tmp_path / "cycle.ndjson", plan)
        peaks.append(peak_bytes(tmp_path / "cycle.ndjson"))
    more = large.episodes_planned - small.episodes_planned
    assert peaks[1] - peaks[0] < BYTES_PER_EPISODE * more + 512 * 1024, peaks


@pytest.mark.skipif(not LONG, reason="KINITRO_TESTS_LONG=1")
def test_a_hundred_thousand_episodes_take_less_than_a_minute(tmp_path: Path) -> None:
    plan, path = plan_of(50), tmp_path / "cycle.ndjson"
    assert plan.episodes_planned > 100_000
    write_export(path, plan)
    started = time.monotonic()
    with path.open("rb") as lines:
        assert audit_export(plan.cycle, lines, key_of(KEY)).verdict == "identical"
    assert time.monotonic() - started < 60
