"""Counting hitting sets by branching with memory: for families with structure.

Windows, trees, blocks and small families fall apart into independent parts, or meet the same sub-family again
and again. Dense random families do neither: those are for `hitting_batches`.
"""

from __future__ import annotations

from collections.abc import Sequence

from consumers.scoring.families import FREE, components, elements, hit_all_few, shift, union

FEW = 3
"""Families of at most this many sets are counted by inclusion and exclusion."""


class BudgetSpent(Exception):
    """The branches allowed for this run are used up; what is known so far stays known."""


class MemoSearch:
    """Resumable: each `run` continues with everything that earlier runs have found."""

    def __init__(self, family: Sequence[int]) -> None:
        """`family`: no set contains another, none is empty."""
        self._family = tuple(sorted(family))
        self._known: dict[tuple[int, ...], int] = {}
        self._branches_left = 0

    def run(self, branches: int) -> int | None:
        """Polynomial of the subsets of the union that meet every set; None if `branches` were too few."""
        self._branches_left = branches
        try:
            return self._count(self._family)
        except BudgetSpent:
            return None

    def _count(self, family: tuple[int, ...]) -> int:
        if len(family) <= FEW:
            return hit_all_few(family, union(family).bit_count())
        found = self._known.get(family)
        if found is None:
            found = self._count_parts(family)
            self._known[family] = found
        return found

    def _count_parts(self, family: tuple[int, ...]) -> int:
        parts = components(family)
        if len(parts) == 1:
            return self._branch(family)
        product = 1
        for part in parts:
            product *= self._count(tuple(sorted(part)))
        return product

    def _branch(self, family: tuple[int, ...]) -> int:
        """Sets with the busiest element, and sets without it."""
        if self._branches_left <= 0:
            raise BudgetSpent
        self._branches_left -= 1
        element = busiest(family)
        others = union(family).bit_count() - 1
        rest = [mask for mask in family if not mask & element]
        shrunk = [mask & ~element for mask in family if mask & element]
        return shift(self._count_within(rest, others), 1) + self._without(rest, shrunk, others)

    def _without(self, rest: list[int], shrunk: list[int], others: int) -> int:
        if 0 in shrunk:
            return 0
        kept = [mask for mask in rest if all(smaller & ~mask for smaller in shrunk)]
        return self._count_within(sorted([*kept, *shrunk]), others)

    def _count_within(self, family: Sequence[int], size: int) -> int:
        """As `_count`, over `size` elements of which the family may use fewer."""
        return self._count(tuple(family)) * FREE[size - union(family).bit_count()]


def busiest(family: Sequence[int]) -> int:
    """An element of a smallest set (as a mask): the one in most sets, smaller sets counting more.

    A set counts twice as much as one that is larger by one element. The smallest set has to be met in any case, and
    it leaves the fewest ways.
    """
    smallest = min(family, key=int.bit_count)
    largest_size = max(map(int.bit_count, family))
    weighed = [(mask, 1 << (largest_size - mask.bit_count())) for mask in family]
    return max(elements(smallest), key=lambda element: sum(weight for mask, weight in weighed if mask & element))
