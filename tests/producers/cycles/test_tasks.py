"""The order of tasks, and what stands in them."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from events.codec import decode_as, draft
from events.cycles import CyclePlanned, CycleSeeded
from events.envelope import RecordedEvent, begin
from events.ids import EnvId, EpisodeKey
from events.log import Stored
from events.tasks import EpisodeTask
from producers.cycles.tasks import EpisodeTasks, endpoints
from tests.controls import facts

ENVIRONMENTS = tuple(EnvId(f"metaworld/task-{number}") for number in range(4))


def beginning(
    uids: tuple[int, ...] = (0, 1, 2), environments: int = 2, episodes: int = 3
) -> tuple[RecordedEvent[CyclePlanned], RecordedEvent[CycleSeeded]]:
    plan = begin(facts.planned(uids=uids, environments=ENVIRONMENTS[:environments], episodes=episodes), source="/t")
    first, second = draft(plan), draft(plan.follow(facts.seeded(), source="/t"))
    return (
        decode_as(CyclePlanned, Stored(1, first.subject, first.body)),
        decode_as(CycleSeeded, Stored(2, second.subject, second.body)),
    )


def tasks(
    uids: tuple[int, ...] = (0, 1, 2), environments: int = 2, episodes: int = 3, secret: bytes = facts.SECRET
) -> EpisodeTasks:
    plan, seeded = beginning(uids, environments, episodes)
    return EpisodeTasks(plan, seeded, secret, endpoints(plan.event, None))


plans = st.builds(
    tasks,
    st.lists(st.integers(0, 65535), min_size=1, max_size=6, unique=True).map(tuple),
    st.integers(1, 4),
    st.integers(1, 5),
    st.binary(min_size=32, max_size=32),
)


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=6, unique=True), st.integers(1, 4), st.integers(1, 5))
def test_the_order_is_a_permutation_of_the_plan(uids: list[int], environments: int, episodes: int) -> None:
    keys = list(tasks(tuple(uids), environments, episodes).keys())
    planned = [
        facts.key(1, uid, env, index)
        for uid in uids
        for env in ENVIRONMENTS[:environments]
        for index in range(episodes)
    ]
    assert sorted(keys) == sorted(planned)


@given(plans)
def test_all_miners_run_one_episode_before_the_next(tasks: EpisodeTasks) -> None:
    groups = [episode for episode, _ in groupby(tasks.keys(), key=_episode)]
    assert len(groups) == len(set(groups))


def _episode(key: EpisodeKey) -> tuple[EnvId, int]:
    return key.env, key.index


@given(plans)
def test_the_order_is_the_same_each_time(tasks: EpisodeTasks) -> None:
    assert list(tasks.keys()) == list(tasks.keys())


def test_the_order_is_drawn_from_the_secret() -> None:
    orders = {tuple(tasks(secret=bytes([number]) * 32).keys()) for number in range(20)}
    assert len(orders) == 20


def test_miners_do_not_always_come_in_the_same_order() -> None:
    groups = groupby(tasks(episodes=20).keys(), key=_episode)
    assert len({tuple(key.uid for key in group) for _, group in groups}) == 6


def test_all_miners_meet_the_same_seed() -> None:
    it = tasks()
    seeds = {(task.env, task.index, task.seed) for task in map(it.task, it.keys())}
    assert len(seeds) == 6


def test_a_task_says_all_that_a_worker_needs() -> None:
    it = tasks()
    task = it.task(facts.key(1, 2, ENVIRONMENTS[1], 1))
    assert (task.uid, task.hotkey, task.endpoint) == (2, facts.hotkey(2), "http://127.0.0.1:9002")
    assert (task.env, task.index, task.terms) == (ENVIRONMENTS[1], 1, facts.TERMS)


def test_a_task_follows_the_seed_in_the_story_of_the_plan() -> None:
    plan, seeded = beginning()
    it = EpisodeTasks(plan, seeded, facts.SECRET, endpoints(plan.event, None))
    task = it.task(next(it.keys()))
    assert (task.cause, task.correlation) == (seeded.id, plan.id)


def test_neither_a_task_nor_its_errors_show_the_endpoint() -> None:
    task = facts.task()
    assert task.endpoint not in repr(task)
    with pytest.raises(ValidationError) as refused:
        EpisodeTask.model_validate({**task.model_dump(), "endpoint": "http://secret" * 100})
    assert "secret" not in str(refused.value)
