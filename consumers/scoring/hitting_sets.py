"""Counting hitting sets, the sets that meet every member of a family. Always exact, usually fast.

The problem is #P-hard. Two searches take turns with growing budgets, each going on where it stopped, so that
the cost is about twice that of the one that suits the family.

The hardest families found, after a search among random, graph-like, geometric and layered ones, are random sets of
10 to 20 % of the elements. On one core of 2025: up to 35 elements less than a second and on 40 elements 7 s, with
any number of sets up to 255; on 50 elements 2 s with 64 sets, 10 s with 100, 27 s with 128, and 4 minutes with 255.
Nothing bounds what was not found but 2^elements. `tests/bench/scoring.py` measures them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from consumers.scoring.families import FREE, coefficients, components, minimal, union
from consumers.scoring.hitting_batches import BatchSearch
from consumers.scoring.hitting_memo import MemoSearch

MEMO_BRANCHES = (500, 2_000, 8_000, 32_000, 128_000)
"""Turns of the search with memory. It has no more of them, as it remembers every branch; the other goes on."""

TURNS_IN_SHORT = 2
"""As many of these turns as somebody waits for who only asks."""

NODES_PER_BRANCH = 2_000
"""What the search in batches does in about the time of one branch."""


def hitting_sets_by_size(universe: int, family: Iterable[int]) -> list[int]:
    """How many subsets of the universe with 0, 1, 2, ... elements meet every set of the family.

    Args:
        universe: a bit mask of at most 64 bits.
        family: masks within the universe. No set meets an empty one; every set meets all of an empty family.
    """
    found = _by_size(universe, family, _count)
    assert found is not None, "this search goes on to its end"
    return found


def hitting_sets_in_short(universe: int, family: Iterable[int]) -> list[int] | None:
    """The same, for those who cannot wait: None where a second or so does not suffice."""
    return _by_size(universe, family, _count_in_short)


def _by_size(universe: int, family: Iterable[int], count: Callable[[Sequence[int]], int | None]) -> list[int] | None:
    elements = universe.bit_count()
    needed = minimal(family)
    if 0 in needed:
        return [0] * (elements + 1)
    polynomial = FREE[elements - union(needed).bit_count()]
    for part in components(needed):
        found = count(part)
        if found is None:
            return None
        polynomial *= found
    return coefficients(polynomial, elements)


def _count(family: Sequence[int]) -> int:
    """Polynomial of the subsets of the family's union that meet every member."""
    memo, batches = MemoSearch(family), BatchSearch(family)
    found = _take_turns(memo, batches, MEMO_BRANCHES)
    return batches.finish() if found is None else found


def _count_in_short(family: Sequence[int]) -> int | None:
    return _take_turns(MemoSearch(family), BatchSearch(family), MEMO_BRANCHES[:TURNS_IN_SHORT])


def _take_turns(memo: MemoSearch, batches: BatchSearch, turns: Sequence[int]) -> int | None:
    for branches in turns:
        found = memo.run(branches)
        if found is None:
            found = batches.run(branches * NODES_PER_BRANCH)
        if found is not None:
            return found
    return None
