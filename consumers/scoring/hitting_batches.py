"""Counting hitting sets by branching on thousands of sub-problems at once: for families without structure.

A sub-problem is what is left of the family after some elements were taken and some refused. Branching on an
element makes two: with it, the sets it meets are gone; without it, they are smaller by it. Sub-problems with
equally many sets stand side by side as columns of machine words, so that every operation is one pass over a
matrix. Only integer operations are used, and sub-problems add up to the result independently of each other:
their order changes nothing.

What is taken and what is undecided in a sub-problem is the polynomial x^taken (1+x)^undecided, kept as the
one number taken * STRIDE + undecided. The search ends in a histogram of such numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from consumers.scoring.families import ELEMENTS_MAX, FREE, shift, union

Words = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

STRIDE = ELEMENTS_MAX + 1
TAKE = STRIDE - 1
"""One element less undecided, one more taken."""

FEW = 6
"""Sub-problems of at most this many sets are counted by inclusion and exclusion, in 2^6 terms."""

WORDS_PER_STEP = 1 << 16
"""Words of one matrix: enough that the cost per call of NumPy vanishes, few enough for a processor's cache."""

WIDTH_FINE = 24
"""Wider sub-problems are kept in classes of width, filled up by repeating a set: that changes no count."""

ZERO, ONE, ALL = np.uint64(0), np.uint64(1), np.uint64(2**64 - 1)


@dataclass(frozen=True, slots=True)
class Batch:
    """Sub-problems side by side."""

    sets: Words
    """(width, states): column j holds the sets of sub-problem j as bit masks."""
    terms: Numbers
    """(states,): taken * STRIDE + undecided."""

    @property
    def width(self) -> int:
        return len(self.sets)

    @property
    def states(self) -> int:
        return len(self.terms)


class BatchSearch:
    """Resumable: each `run` continues where the last one stopped."""

    def __init__(self, family: Sequence[int]) -> None:
        """`family`: no set contains another, none is empty."""
        self._histogram = np.zeros(STRIDE * STRIDE, dtype=np.int64)
        self._open: dict[int, list[Batch]] = {}
        self._states: Counter[int] = Counter()
        undecided = union(family).bit_count()
        root = Batch(np.asarray(family, dtype=np.uint64)[:, np.newaxis], np.full(1, undecided, dtype=np.int64))
        self._add(root)

    def run(self, nodes: int) -> int | None:
        """Polynomial of the subsets of the union that meet every set; None if `nodes` sub-problems were too few."""
        while self._open and nodes > 0:
            nodes -= self._step()
        return None if self._open else self._polynomial()

    def finish(self) -> int:
        """As `run`, however long it takes."""
        while self._open:
            self._step()
        return self._polynomial()

    def _step(self) -> int:
        """Work on one batch; how many sub-problems it had."""
        batch = self._next()
        if batch.width <= FEW:
            self._close(batch)
        else:
            self._branch(batch)
        return batch.states

    def _polynomial(self) -> int:
        return sum(
            int(self._histogram[term]) * shift(FREE[term % STRIDE], term // STRIDE)
            for term in np.flatnonzero(self._histogram).tolist()
        )

    def _add(self, batch: Batch) -> None:
        width = _width_class(batch.width)
        padding = [batch.sets[:1]] * (width - batch.width)
        padded = Batch(np.concatenate([batch.sets, *padding]), batch.terms) if padding else batch
        self._open.setdefault(width, []).append(padded)
        self._states[width] += batch.states

    def _next(self) -> Batch:
        """The narrowest full batch, which bounds memory; where none is full the widest, to fill the others."""
        width = min((w for w in self._open if self._states[w] >= _room(w)), default=max(self._open))
        batches = self._open.pop(width)
        sets = np.concatenate([batch.sets for batch in batches], axis=1)
        terms = np.concatenate([batch.terms for batch in batches])
        room = _room(width)
        self._states[width] = max(len(terms) - room, 0)
        if self._states[width]:
            self._open[width] = [Batch(sets[:, room:].copy(), terms[room:].copy())]
        return Batch(np.ascontiguousarray(sets[:, :room]), terms[:room])

    def _close(self, batch: Batch) -> None:
        """By inclusion and exclusion over the unions of an even and of an odd number of sets."""
        even, odd = np.zeros((1, batch.states), dtype=np.uint64), np.empty((0, batch.states), dtype=np.uint64)
        for row in batch.sets:
            even, odd = np.concatenate([even, odd | row]), np.concatenate([odd, even | row])
        self._count((batch.terms - np.bitwise_count(even)).ravel(), 1)
        self._count((batch.terms - np.bitwise_count(odd)).ravel(), -1)

    def _count(self, terms: Numbers, sign: int) -> None:
        self._histogram += sign * np.bincount(terms, minlength=STRIDE * STRIDE)

    def _branch(self, batch: Batch) -> None:
        """With the busiest element the sets it meets are gone; without it they are smaller."""
        element = busiest(batch.sets)
        self._keep(batch.sets, (batch.sets & element) == ZERO, batch.terms + TAKE)
        sets = batch.sets & ~element
        possible = (sets != ZERO).all(axis=0)
        self._force(sets[:, possible], batch.terms[possible] - 1)

    def _force(self, sets: Words, terms: Numbers) -> None:
        """Take the elements that are the last of a set."""
        single = (sets & (sets - ONE)) == ZERO
        forced = np.bitwise_or.reduce(np.where(single, sets, ZERO), axis=0)
        taken = np.bitwise_count(forced).astype(np.int64)
        self._keep(sets, (sets & forced) == ZERO, terms + TAKE * taken)

    def _keep(self, sets: Words, kept: Flags, terms: Numbers) -> None:
        """Open the sub-problems made of the kept sets, those with equally many together."""
        widths = kept.sum(axis=0, dtype=np.int16)
        order = np.argsort(widths, kind="stable")
        words = sets.T[order][kept.T[order]]
        terms = terms[order]
        for width, states in enumerate(np.bincount(widths).tolist()):
            now, terms = terms[:states], terms[states:]
            chosen, words = words[: states * width], words[states * width :]
            if width == 0:
                self._count(now, 1)
            elif states:
                # Copies: a view would keep all the words of its siblings alive while it waits.
                self._add(Batch(chosen.reshape(states, width).T.copy(), now.copy()))


def busiest(sets: Words) -> Words:
    """Per column, the element (as a mask) with the largest weight; a set weighs 8, 4, 2 or 1.

    8 is for the smallest size in the column, 4 for one element more, and so on. The weights of 64 elements
    are summed at once: bit b of plane p is binary digit p of the sum of element b.
    """
    width, states = sets.shape
    sizes = np.bitwise_count(sets)
    excess = np.minimum(sizes - sizes.min(axis=0), 3)
    weighed = [sets & np.negative((excess == 3 - digit).astype(np.uint64)) for digit in range(4)]
    planes = np.zeros(((8 * width).bit_length(), states), dtype=np.uint64)
    carry, spill = np.empty((2, states), dtype=np.uint64)
    for index in range(width):
        carry.fill(0)
        for digit in range((8 * index + 8).bit_length()):
            if digit < len(weighed):
                carry |= weighed[digit][index]
            np.bitwise_and(carry, planes[digit], out=spill)
            planes[digit] ^= carry
            carry, spill = spill, carry
    return _highest(planes)


def _highest(planes: Words) -> Words:
    """Per column, the lowest of the elements whose sum is largest."""
    candidates = np.full(planes.shape[1], ALL)
    for plane in planes[::-1]:
        with_digit = candidates & plane
        candidates = np.where(with_digit != ZERO, with_digit, candidates)
    return candidates & (~candidates + ONE)


def _width_class(width: int) -> int:
    if width <= WIDTH_FINE:
        return width
    step = 1 << (width.bit_length() - 3)
    return -(-width // step) * step


def _room(width: int) -> int:
    """How many sub-problems are worked on at once."""
    words = 1 << width if width <= FEW else width
    return max(WORDS_PER_STEP // words, 64)
