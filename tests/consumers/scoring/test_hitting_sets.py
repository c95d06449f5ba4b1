from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from math import comb
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.scoring.families import components, minimal, union
from consumers.scoring.hitting_batches import BatchSearch
from consumers.scoring.hitting_memo import MemoSearch
from consumers.scoring.hitting_sets import hitting_sets_by_size
from tests.consumers.scoring import oracle
from tests.controls import tables

ELEMENTS = 10
EVERYTHING = (1 << ELEMENTS) - 1

families = st.lists(st.integers(0, EVERYTHING), max_size=40)
sparse_families = st.lists(
    st.sets(st.integers(0, ELEMENTS - 1), min_size=1, max_size=3).map(lambda them: sum(1 << it for it in them)),
    max_size=25,
)
antichains = families.map(minimal).filter(lambda family: bool(family) and family[0] > 0)
Search = Callable[[Sequence[int]], MemoSearch | BatchSearch]


def finished(search: MemoSearch | BatchSearch) -> int:
    found = search.run(10**9)
    assert found is not None
    return found


def random_family(seed: int, *, elements: int, sets: int, size: int) -> list[int]:
    random = Random(seed)
    return minimal(sum(1 << it for it in random.sample(range(elements), size)) for _ in range(sets))


@given(families | sparse_families)
def test_counts_by_size_are_those_of_going_through_all_subsets(family: list[int]) -> None:
    assert hitting_sets_by_size(EVERYTHING, family) == oracle.hitting_sets_by_size(EVERYTHING, family)


@given(st.integers(0, 2**64 - 1), st.data())
def test_universe_may_be_any_bits_of_a_word(universe: int, data: st.DataObject) -> None:
    bits = [1 << bit for bit in range(64) if universe >> bit & 1][:ELEMENTS]
    family = [sum(it) for it in data.draw(st.lists(st.sets(st.sampled_from(bits)), max_size=9))] if bits else []
    assert hitting_sets_by_size(sum(bits), family) == oracle.hitting_sets_by_size(sum(bits), family)


@pytest.mark.parametrize("search", [MemoSearch, BatchSearch])
@given(family=antichains)
def test_each_search_alone_counts_all(search: Search, family: list[int]) -> None:
    counts = oracle.hitting_sets_by_size(union(family), family)
    assert finished(search(family)) == sum(count << (64 * size) for size, count in enumerate(counts))


@pytest.mark.parametrize(("sets", "size"), [(30, 2), (60, 3), (255, 4), (40, 6), (120, 9), (255, 12)], ids=str)
def test_both_searches_agree_where_nobody_can_enumerate(sets: int, size: int) -> None:
    family = random_family(sets, elements=22, sets=sets, size=size)
    assert finished(MemoSearch(family)) == finished(BatchSearch(family))


@pytest.mark.parametrize(("search", "step"), [(MemoSearch, 20), (BatchSearch, 1)])
def test_search_that_is_interrupted_goes_on_to_the_same_count(search: Search, step: int) -> None:
    family = random_family(3, elements=20, sets=60, size=5)
    interrupted = search(family)
    runs = 1
    while (found := interrupted.run(step)) is None:
        runs += 1
        assert runs < 10_000
    assert runs > 3
    assert found == finished(search(family))


def test_no_family_leaves_all_subsets() -> None:
    assert hitting_sets_by_size(2**64 - 1, []) == [comb(64, size) for size in range(65)]


def test_nothing_meets_an_empty_set() -> None:
    assert hitting_sets_by_size(0b111, [0b001, 0]) == [0, 0, 0, 0]


def test_singletons_leave_the_whole_universe_only() -> None:
    assert hitting_sets_by_size(0b1111, [1, 2, 4, 8]) == [0, 0, 0, 0, 1]


def test_vertex_covers_of_a_path_are_a_fibonacci_number() -> None:
    path = [0b11 << start for start in range(49)]
    assert sum(hitting_sets_by_size((1 << 50) - 1, path)) == 32_951_280_099


def test_vertex_covers_of_a_cycle_are_a_lucas_number() -> None:
    cycle = [1 << start | 1 << (start + 1) % 50 for start in range(50)]
    assert sum(hitting_sets_by_size((1 << 50) - 1, cycle)) == 28_143_753_123


def test_vertex_covers_of_a_complete_graph_leave_out_at_most_one() -> None:
    pairs = [1 << one | 1 << other for one in range(50) for other in range(one)]
    assert hitting_sets_by_size((1 << 50) - 1, pairs) == [0] * 49 + [50, 1]


def test_sets_that_meet_all_large_sets_are_those_that_are_large_enough() -> None:
    """Every set of 6 of 9 elements is met exactly by the sets of at least 4."""
    all_six = [mask for mask in range(1 << 9) if mask.bit_count() == 6]
    assert hitting_sets_by_size((1 << 9) - 1, all_six) == [comb(9, size) if size >= 4 else 0 for size in range(10)]


def test_independent_parts_multiply() -> None:
    """25 pairs that share nothing: (2x + x^2)^25."""
    pairs = [0b11 << start for start in range(0, 50, 2)]
    expected = [0] * 25 + [comb(25, more) * 2 ** (25 - more) for more in range(26)]
    assert hitting_sets_by_size((1 << 50) - 1, pairs) == expected


@pytest.mark.parametrize("length", [2, 3, 5, 10, 20])
def test_windows_are_counted_as_a_transfer_matrix_counts_them(length: int) -> None:
    """A set meets every window of neighbours iff it leaves no gap of that length."""
    gaps = [1, *[0] * (length - 1)]
    for _ in range(50):
        gaps = [sum(gaps), *gaps[:-1]]
    everything = (1 << 50) - 1
    family = [everything & ~mask for mask in tables.windows(50, length)]
    assert sum(hitting_sets_by_size(everything, family)) == sum(gaps)


@given(families)
def test_components_share_no_element_and_lose_no_set(family: list[int]) -> None:
    parts = components(family)
    spans = [union(part) for part in parts]
    assert sum(spans) == union(spans)
    assert sorted(member for part in parts for member in part) == sorted(family)


@given(families)
def test_minimal_sets_contain_no_other_and_are_contained_in_every_other(family: list[int]) -> None:
    kept = minimal(family)
    assert all(one & ~other for one in kept for other in kept if one != other)
    assert all(any(not one & ~other for one in kept) for other in family)


def test_search_in_batches_holds_few_of_its_sub_problems_at_once() -> None:
    everything = (1 << 50) - 1
    family = minimal(everything & ~mask for mask in tables.random_masks(100, 50, 0.85))
    tracemalloc.start()
    try:
        assert BatchSearch(family).run(500_000) is None
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 40_000_000
