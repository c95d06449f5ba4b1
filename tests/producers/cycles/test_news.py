"""What is told of a cycle's advance."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from events.codec import draft
from events.envelope import begin
from events.event import Event
from events.ids import CycleId, EpisodeKey
from events.log import Stored
from producers.cycles.news import SHARES, News
from producers.cycles.state import CycleState
from producers.progress import Advanced
from tests.controls import facts


def advances(episodes: int, batches: list[int]) -> Iterator[list[Advanced]]:
    """What is told after each of these batches of outcomes, in a cycle of one miner and one environment."""
    plan = facts.planned(uids=(0,), environments=(facts.REACH,), episodes=episodes)
    state = CycleState(CycleId(1))
    news, index = News(state), 0

    def told(*events: Event) -> list[Advanced]:
        for event in events:
            it = draft(begin(event, source="/t"))
            state.apply(Stored(state.last_sequence + 1, it.subject, it.body))
        return [each for each in news.come() if isinstance(each, Advanced)]

    assert told(plan, facts.seeded()) == []
    for size in batches:
        indices = range(index, min(index + size, episodes))
        index = indices.stop
        yield told(*(facts.completed(EpisodeKey(CycleId(1), plan.roster[0].uid, facts.REACH, it)) for it in indices))


def test_each_outcome_of_a_small_cycle_is_told() -> None:
    assert list(advances(2, [1, 1])) == [[Advanced(CycleId(1), 1, 2)], [Advanced(CycleId(1), 2, 2)]]


def test_a_large_cycle_tells_of_each_share_once() -> None:
    told = list(advances(3 * SHARES, [1] * 7))
    assert [[it.done for it in each] for each in told] == [[], [], [3], [], [], [6], []]


@given(st.integers(1, 3 * SHARES), st.lists(st.integers(1, 200), max_size=20))
def test_whatever_the_batches_the_end_is_told_and_nothing_twice(episodes: int, batches: list[int]) -> None:
    done = [it.done for each in advances(episodes, [*batches, episodes]) for it in each]
    assert done == sorted(set(done))
    assert done[-1] == episodes
    assert len(done) <= SHARES + 1
