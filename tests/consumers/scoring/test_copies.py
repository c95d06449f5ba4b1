"""Whose policy is another's, as far as events show."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from consumers.scoring.copies import EPISODES_MIN, Holder, actions_of, copies_found
from events.copies import Copy, CopyKind
from events.episodes import EpisodeCompleted
from events.ids import CycleId, Uid
from events.verification import VerificationPassed, WeightFile
from tests.controls import facts
from tests.controls.sealed_cycles import outcomes_of

PLAN = facts.planned(3, uids=(0, 1, 2), episodes=4)
"""Who has the lower uid committed earlier."""
ONE, TWO = "1" * 64, "2" * 64


def by_actions(*rows: str) -> list[tuple[int, str, int]]:
    """Of each miner a letter for each of its 8 episodes: equal ones are equal actions, a dot is not completed."""
    actions = {
        Uid(uid): [None if each == "." else each.encode() for each in row.ljust(8, ".")]
        for uid, row in enumerate(rows)
    }
    found = copies_found(PLAN, actions, [], {})
    return [(it.uid, it.of_hotkey, it.episodes) for it in found.copies] if found else []


def test_who_does_the_same_in_all_that_both_completed_is_told() -> None:
    assert by_actions("abcdefgh", "abcdefgh", "ijklmnop") == [(1, "hotkey-0", 8)]
    assert by_actions("abcd..gh", "ab..efgh", "ijklmnop") == [(1, "hotkey-0", 4)]


def test_one_other_action_and_it_is_no_copy() -> None:
    assert by_actions("abcdefgh", "abcdefgx", "ijklmnop") == []


def test_fewer_episodes_show_nothing() -> None:
    assert by_actions("ab", "ab", "") == []
    assert by_actions("abc", "abc", "") == [(1, "hotkey-0", EPISODES_MIN)]


def test_each_is_told_as_a_copy_of_the_earliest_alone() -> None:
    assert by_actions("abcd", "abcd", "abcd") == [(1, "hotkey-0", 4), (2, "hotkey-0", 4)]


def test_earlier_is_who_committed_in_an_earlier_block() -> None:
    roster = [
        entry.model_copy(update={"commitment": facts.commitment(entry.uid, block=100 - entry.uid)})
        for entry in PLAN.roster
    ]
    same: dict[Uid, Sequence[bytes | None]] = {entry.uid: [b"a"] * 8 for entry in PLAN.roster}
    found = copies_found(PLAN.model_copy(update={"roster": tuple(roster)}), same, [], {})
    assert found is not None
    assert [(it.uid, it.of_hotkey) for it in found.copies] == [(0, "hotkey-2"), (1, "hotkey-2")]


@given(st.lists(st.text("ab.", min_size=8, max_size=8), min_size=3, max_size=3))
def test_a_copy_by_actions_did_the_same_wherever_both_completed(rows: list[str]) -> None:
    for uid, of_hotkey, episodes in by_actions(*rows):
        earlier = int(of_hotkey.removeprefix("hotkey-"))
        both = [(a, b) for a, b in zip(rows[uid], rows[earlier], strict=True) if "." not in (a, b)]
        assert earlier < uid
        assert len(both) == episodes >= EPISODES_MIN
        assert all(a == b for a, b in both)


def test_the_actions_of_outcomes_stand_in_one_order_for_all() -> None:
    outcomes = outcomes_of(PLAN)
    assert isinstance(outcomes[0], EpisodeCompleted)
    outcomes[1] = facts.forfeited(outcomes[1].key)
    actions = actions_of(PLAN, reversed(outcomes))
    assert actions[Uid(0)][0] == bytes.fromhex(outcomes[0].evidence.action_digest)
    assert actions[Uid(1)][0] is None
    assert [len(each) for each in actions.values()] == [8, 8, 8]


def checked(uid: int, *digests: str) -> VerificationPassed:
    files = tuple(WeightFile(name=f"{place}.bin", size=10**6, sha256=it) for place, it in enumerate(digests))
    committed = facts.committed_files(uid).model_copy(update={"files": files})
    return facts.verification_passed(3, uid).model_copy(update={"committed": committed})


def by_files(checks: list[VerificationPassed], known: dict[str, Holder] | None = None) -> list[Copy]:
    found = copies_found(PLAN, actions_of(PLAN, outcomes_of(PLAN)), checks, known or {})
    return [*found.copies] if found else []


def test_who_has_a_file_of_an_earlier_committer_is_told() -> None:
    (copy,) = by_files([checked(1, TWO, ONE), checked(0, ONE), checked(2, "3" * 64)])
    assert (copy.uid, copy.of_hotkey, copy.kind, copy.files, copy.seen_in) == (
        1,
        "hotkey-0",
        CopyKind.FILES,
        (ONE,),
        3,
    )


def test_files_of_different_committers_are_told_apart() -> None:
    copies = by_files([checked(0, ONE), checked(1, TWO), checked(2, ONE, TWO)])
    assert [(it.uid, it.of_hotkey, it.files) for it in copies] == [(2, "hotkey-0", (ONE,)), (2, "hotkey-1", (TWO,))]


def test_a_file_that_was_seen_in_an_earlier_cycle_is_told_with_that_cycle() -> None:
    (copy,) = by_files([checked(1, ONE)], {ONE: Holder(5, Uid(7), facts.hotkey(7), CycleId(2))})
    assert (copy.of_hotkey, copy.seen_in) == ("hotkey-7", 2)


def test_who_had_it_itself_before_is_no_copy_of_who_had_it_between() -> None:
    known = {ONE: Holder(5, Uid(2), facts.hotkey(2), CycleId(1))}
    assert [(it.uid, it.of_hotkey) for it in by_files([checked(1, ONE), checked(2, ONE)], known)] == [(1, "hotkey-2")]


def test_who_committed_before_the_one_that_was_seen_earlier_is_no_copy() -> None:
    assert by_files([checked(1, ONE)], {ONE: Holder(99, Uid(7), facts.hotkey(7), CycleId(2))}) == []


def test_one_file_twice_in_a_repository_is_no_copy() -> None:
    assert by_files([checked(0, ONE, ONE)]) == []
