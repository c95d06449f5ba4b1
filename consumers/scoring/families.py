"""Families of sets as bit masks, and their counts by size as polynomials.

The count of sets by size is a polynomial in x: the coefficient of x^s counts the sets of size s. It is kept
as one integer, its value at x = 2^64: sums and products of polynomials are sums and products of integers, and
as no final count of subsets of 64 elements reaches 2^64, the coefficients are its digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import or_

ELEMENTS_MAX = 64
"""Elements of a universe: masks fit a machine word, counts by size fit a digit."""

DIGIT_BITS = 64

FREE: tuple[int, ...] = tuple((1 + (1 << DIGIT_BITS)) ** count for count in range(ELEMENTS_MAX + 1))
"""FREE[k] = (1 + x)^k: all subsets of k elements."""


def shift(polynomial: int, size: int) -> int:
    """The polynomial times x^size: `size` more elements in every set."""
    return polynomial << (DIGIT_BITS * size)


def coefficients(polynomial: int, degree: int) -> list[int]:
    """The count of sets of size 0, 1, ..., degree."""
    digit = (1 << DIGIT_BITS) - 1
    return [polynomial >> (DIGIT_BITS * size) & digit for size in range(degree + 1)]


def union(family: Iterable[int]) -> int:
    return reduce(or_, family, 0)


def elements(mask: int) -> Iterator[int]:
    """The elements of a set, each as a mask, lowest bit first."""
    while mask:
        lowest = mask & -mask
        yield lowest
        mask ^= lowest


def minimal(family: Iterable[int]) -> list[int]:
    """The sets that contain no other set of the family, smallest first."""
    kept: list[int] = []
    for candidate in sorted(set(family), key=lambda mask: (mask.bit_count(), mask)):
        if all(smaller & ~candidate for smaller in kept):
            kept.append(candidate)
    return kept


def components(family: Sequence[int]) -> list[list[int]]:
    """The family split into parts that share no element."""
    parts: list[tuple[int, list[int]]] = []
    for mask in family:
        touched = [part for part in parts if part[0] & mask]
        parts = [part for part in parts if not part[0] & mask]
        merged = [member for _, members in touched for member in members]
        parts.append((union((mask, *(span for span, _ in touched))), [*merged, mask]))
    return [members for _, members in parts]


def hit_all_few(family: Sequence[int], size: int) -> int:
    """Polynomial of the subsets of `size` elements that meet every set, by inclusion and exclusion.

    2^len(family) terms: the sets that miss every member of a sub-family live outside its union.
    """
    polynomial = 0
    terms = [(0, 1)]
    for mask in family:
        terms += [(span | mask, -sign) for span, sign in terms]
    for span, sign in terms:
        polynomial += sign * FREE[size - span.bit_count()]
    return polynomial
