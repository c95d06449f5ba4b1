"""Which subsets of the environments a miner wins: counted, never enumerated.

Miner m wins a non-empty subset S iff

- its rates are above zero and exceed the thresholds of every earlier miner on all of S: S lies within a mask `open`;
- no later miner k exceeds the thresholds of m on all of S: S lies within no mask `lost[k]`.

S lies within no lost mask iff it meets every set open - lost[k]: the subsets won are the hitting sets of that family.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from consumers.scoring.hitting_sets import hitting_sets_by_size
from consumers.scoring.margins import Margin, RateGrid
from events.rules import PointScheme

Flags = npt.NDArray[np.bool_]
Ranks = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Claim:
    """What one miner can win. Bit e of a mask is environment e of the plan."""

    open: int
    """Where its rate is above zero and exceeds the thresholds of all earlier miners."""
    lost: frozenset[int]
    """For each later miner, where within `open` that one exceeds this miner's threshold."""


def claims(grids: Sequence[RateGrid], gaps: Sequence[Sequence[Margin]]) -> Iterator[Claim]:
    """One claim for each miner.

    Args:
        grids: per environment (at least one), the rates; the miners in order of seniority, the earliest first.
        gaps: per environment and miner, by how much a later rate must pass this one.
    """
    above_zero = np.array([[mark > 0 for mark in grid.marks] for grid in grids]).T
    ranks = np.array([_ranks(grid) for grid in grids], dtype=np.int32).T
    bars = np.array([_bars(grid, margins) for grid, margins in zip(grids, gaps, strict=True)], dtype=np.int32).T
    highest_earlier = np.zeros_like(bars)
    np.maximum.accumulate(bars[:-1], axis=0, out=highest_earlier[1:])
    for miner, open_row in enumerate(above_zero & (ranks >= highest_earlier)):
        lost = (ranks[miner + 1 :] >= bars[miner]) & open_row
        yield Claim(_masks(open_row[np.newaxis])[0], frozenset(_masks(lost)))


def points(claim: Claim, scheme: PointScheme) -> int:
    """What the subsets won are worth together; exact."""
    if claim.open == 0 or claim.open in claim.lost:
        return 0
    counts = hitting_sets_by_size(claim.open, [claim.open & ~lost for lost in claim.lost])
    return sum(count * worth(size, scheme) for size, count in enumerate(counts) if size > 0)


def worth(size: int, scheme: PointScheme) -> int:
    match scheme:
        case PointScheme.LINEAR:
            return size
        case PointScheme.EXPONENTIAL:
            return 1 << (size - 1)
        case PointScheme.EQUAL:
            return 1


def _ranks(grid: RateGrid) -> list[int]:
    """Each miner's place among the distinct rates: small integers that compare as the rates do."""
    ladder = sorted(set(grid.marks))
    return [bisect_left(ladder, mark) for mark in grid.marks]


def _bars(grid: RateGrid, margins: Sequence[Margin]) -> list[int]:
    """For each miner the lowest rank that exceeds its threshold; a rank that nobody has where no rate does."""
    ladder = sorted(set(grid.marks))
    return [
        bisect_right(ladder, mark + margin.reach(grid.units))
        for mark, margin in zip(grid.marks, margins, strict=True)
    ]


def _masks(rows: Flags) -> list[int]:
    return [int.from_bytes(row.tobytes(), "little") for row in np.packbits(rows, axis=1, bitorder="little")]
