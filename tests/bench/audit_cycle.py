"""How fast a cycle is audited from a file, against only reading it as JSON: `python -m tests.bench.audit_cycle`.

256 miners on eight environments, once with a quarter of the episodes and once with all 102,400; without running any
again. Each audit is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import multiprocessing
import random
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import orjson

from consumers.audit.cycle.audit import audit_export
from events.cycles import CyclePlanned
from events.episodes import EpisodeOutcome
from events.ids import EpisodeKey
from sim.suite import ENVIRONMENTS
from tests.bench.export import peak_mib
from tests.controls import facts
from tests.controls.exports import KEY, cycle_export, exported, key_of

MINERS = 256
EPISODES = (13, 50)
"""Of each miner on each environment."""


class Measured(NamedTuple):
    read_s: float
    audit_s: float
    peak_mib: float
    verdict: str


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        for episodes in EPISODES:
            plan = facts.planned(1, uids=tuple(range(MINERS)), environments=ENVIRONMENTS[:8], episodes=episodes)
            path = Path(directory) / "cycle.ndjson"
            path.write_bytes(b"".join(exported(cycle_export(plan, outcomes(plan)))))
            tell(plan, path, measured(path))


def outcomes(plan: CyclePlanned) -> Sequence[EpisodeOutcome]:
    """Each miner has a rate of its own everywhere."""
    rates = {(entry.uid, env): random.random() for entry in plan.roster for env in plan.environments}
    return [
        facts.completed(EpisodeKey(plan.cycle, uid, env, index), success=random.random() < rate)
        for index in range(plan.episodes_per_environment)
        for (uid, env), rate in rates.items()
    ]


def measured(path: Path) -> Measured:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_measured, path).result()


def _measured(path: Path) -> Measured:
    started = time.perf_counter()
    with path.open("rb") as lines:
        for line in lines:
            orjson.loads(line)
    read_s, started = time.perf_counter() - started, time.perf_counter()
    with path.open("rb") as lines:
        audit = audit_export(facts.planned().cycle, lines, key_of(KEY))
    return Measured(read_s, time.perf_counter() - started, peak_mib("self"), audit.verdict)


def tell(plan: CyclePlanned, path: Path, it: Measured) -> None:
    print(f"{plan.episodes_planned:,} episodes, {path.stat().st_size / 1e6:.0f} MB: {it.verdict}")
    rate, ratio = plan.episodes_planned / it.audit_s, it.read_s / it.audit_s
    print(f"  audited in {it.audit_s:.1f} s, {rate:,.0f}/s; read as JSON in {it.read_s:.2f} s: {ratio:.2f}")
    print(f"  peak memory {it.peak_mib:.0f} MiB")


if __name__ == "__main__":
    main()
