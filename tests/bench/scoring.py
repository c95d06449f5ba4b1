"""Time to score one cycle: `python -m tests.bench.scoring`.

The first tables are as cycles have them. The others are made by miners who agree on their rates, so that the subsets
which the first miner wins are hard to count. The hardest tables found are random masks of 80 to 90 % of the
environments, and every mask costs the conspirators one slot of the subnet. Numbers of masks given as arguments are
measured too: with 255 (all other slots) it takes minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from consumers.scoring.standings import Contender, score
from events.rules import ScoringRules
from tests.controls import tables

WANTED_S = 2.0
HARDEST_SHARE = 0.85


def main() -> None:
    print(f"{'table':46s}{'miners':>8s}{'envs':>6s}{'seconds':>10s}{'of wanted':>11s}")
    for miners, environments in ((64, 8), (256, 12), (256, 50)):
        report("random rates", tables.random_table(miners, environments))
    report("each later miner slightly better everywhere", tables.staircase(256, 50), tables.STAIRCASE_EPISODES)
    for name, masks in (
        ("all windows of 5 neighbours", tables.windows(50, 5)),
        ("vertex covers of a graph with 100 edges", tables.without_pairs(100, 50)),
        ("vertex covers of a graph with 255 edges", tables.without_pairs(255, 50)),
        ("random masks of 30%", tables.random_masks(255, 50, 0.3)),
        ("random masks of 50%", tables.random_masks(255, 50, 0.5)),
    ):
        report(name, tables.challenged(50, masks))
    hard = tables.heads(10, 50, tables.random_masks(54, 50, HARDEST_SHARE))
    report(f"ten miners hard to count, masks of {HARDEST_SHARE:.0%}", hard, tables.HEADS_EPISODES)
    for count in (64, *map(int, sys.argv[1:])):
        masks = tables.random_masks(count, 50, HARDEST_SHARE)
        report(f"worst found: random masks of {HARDEST_SHARE:.0%}", tables.challenged(50, masks))


def report(name: str, contenders: Sequence[Contender], episodes: int = tables.EPISODES) -> None:
    start = time.perf_counter()
    score(contenders, episodes, ScoringRules())
    seconds = time.perf_counter() - start
    size = f"{len(contenders):8d}{len(contenders[0].rates):6d}"
    print(f"{name:46s}{size}{seconds:10.3f}{seconds / WANTED_S:10.2f}x", flush=True)


if __name__ == "__main__":
    main()
