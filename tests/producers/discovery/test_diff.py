"""What changed, and that applying it gives the snapshot."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.codec import decode, draft
from events.envelope import begin
from events.event import Event
from events.ids import Hotkey, Uid
from events.log import Stored
from events.miners import (
    Commitment,
    CommitmentRejection,
    MinerCommitmentChanged,
    MinerCommitmentRejected,
    MinerDeparted,
    MinerDiscovered,
)
from events.sealed import EndpointKey
from producers.discovery.commitments import Rejection
from producers.discovery.diff import changes, judged
from producers.discovery.registry import Registry
from producers.discovery.source import RegisteredMiner, RejectedMiner, Snapshot
from tests.controls import facts
from tests.producers.driving import miner

BAD, WORSE = (Rejection(CommitmentRejection.MALFORMED, "why", 10, digit * 64) for digit in "ab")


def record(registry: Registry, *events: Event) -> Registry:
    for sequence, event in enumerate(events, start=registry.sequence + 1):
        it = draft(begin(event, source="/t"))
        registry.apply(decode(Stored(sequence, it.subject, it.body)))
    return registry


def miners_of(registry: Registry) -> set[tuple[Hotkey, Uid, Commitment | None]]:
    return {(it.hotkey, it.uid, it.commitment) for it in registry.registered()}


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    hotkeys = draw(st.lists(st.integers(0, 5), unique=True, max_size=5))
    uids = draw(st.permutations(range(6)))
    miners, rejected = list[RegisteredMiner](), list[RejectedMiner]()
    for hotkey, uid in zip(hotkeys, uids, strict=False):
        if draw(st.booleans()):
            miners.append(miner(uid, f"h{hotkey}", revision=draw(st.sampled_from(["one", "two"]))))
        else:
            rejected.append(RejectedMiner(Hotkey(f"h{hotkey}"), Uid(uid), draw(st.sampled_from([BAD, WORSE]))))
    return Snapshot(50, tuple(miners), tuple(rejected))


HISTORIES = st.lists(snapshots(), min_size=1, max_size=6)


@given(HISTORIES)
def test_applying_the_changes_gives_the_snapshot(history: list[Snapshot]) -> None:
    registry = Registry()
    for snapshot in history:
        record(registry, *changes(registry, snapshot))
        assert miners_of(registry) == {(it.hotkey, it.uid, it.commitment) for it in snapshot.miners}
        assert {(it.hotkey, it.uid, it.rejected and it.rejected.digest) for it in registry.present()} == {
            (it.hotkey, it.uid, it.rejection.digest if isinstance(it, RejectedMiner) else None)
            for it in snapshot.everybody
        }


@given(HISTORIES)
def test_nothing_changes_twice(history: list[Snapshot]) -> None:
    registry = Registry()
    for snapshot in history:
        record(registry, *changes(registry, snapshot))
        assert changes(registry, snapshot) == []


@given(HISTORIES)
def test_no_uid_is_given_away_before_it_is_free(history: list[Snapshot]) -> None:
    registry = Registry()
    for snapshot in history:
        for event in changes(registry, snapshot):
            record(registry, event)
            uids = [it.uid for it in registry.present()]
            assert len(set(uids)) == len(uids)


@given(HISTORIES)
def test_the_order_of_a_snapshot_does_not_matter(history: list[Snapshot]) -> None:
    registry = Registry()
    for snapshot in history:
        turned = Snapshot(snapshot.block, snapshot.miners[::-1], snapshot.rejected[::-1])
        assert changes(registry, turned) == changes(registry, snapshot)
        record(registry, *changes(registry, snapshot))


@given(HISTORIES, st.lists(st.integers(0, 60), max_size=20))
def test_events_seen_again_change_nothing(history: list[Snapshot], again: list[int]) -> None:
    registry, events = Registry(), list[Event]()
    for snapshot in history:
        new = changes(registry, snapshot)
        record(registry, *new)
        events += new
    recorded = [draft(begin(event, source="/t")) for event in events]
    stored = [Stored(sequence, it.subject, it.body) for sequence, it in enumerate(recorded, start=1)]
    repeated = Registry()
    for position, it in enumerate(stored):
        repeated.apply(decode(it))
        for number in again:
            if number <= position:
                repeated.apply(decode(stored[number]))
    assert miners_of(repeated) == miners_of(registry)


def known(*miners: RegisteredMiner) -> Registry:
    registry = Registry()
    return record(registry, *changes(registry, Snapshot(20, miners)))


def test_a_new_hotkey_is_discovered() -> None:
    assert changes(Registry(), Snapshot(20, (miner(0),))) == [facts.discovered(0)]


def test_a_hotkey_that_is_gone_has_departed() -> None:
    assert changes(known(miner(0)), Snapshot(40, ())) == [facts.departed(0)]


def test_another_commitment_is_a_change_of_it() -> None:
    [event] = changes(known(miner(0)), Snapshot(30, (miner(0, revision="new"),)))
    assert isinstance(event, MinerCommitmentChanged)
    assert (event.ordinal, event.block, event.commitment.revision) == (2, 30, "new")


def test_a_hotkey_that_moved_departs_and_is_discovered() -> None:
    events = changes(known(miner(0)), Snapshot(30, (miner(1, "hotkey-0"),)))
    assert [(type(it), it.uid, it.ordinal) for it in events] == [(MinerDeparted, 0, 2), (MinerDiscovered, 1, 3)]


def test_a_hotkey_that_returns_is_discovered_again() -> None:
    registry = record(known(miner(0)), facts.departed(0))
    assert changes(registry, Snapshot(50, (miner(0),))) == [facts.discovered(0, ordinal=3, block=50)]


def test_departures_come_before_changes_and_changes_before_discoveries() -> None:
    registry = known(miner(0), miner(1), miner(2))
    now = Snapshot(30, (miner(3), miner(1, revision="new"), miner(0, "hotkey-2")))
    assert [(type(it), it.uid) for it in changes(registry, now)] == [
        (MinerDeparted, 0),
        (MinerDeparted, 2),
        (MinerCommitmentChanged, 1),
        (MinerDiscovered, 0),
        (MinerDiscovered, 3),
    ]


@given(HISTORIES)
def test_ordinals_count_the_life_of_each_hotkey(history: list[Snapshot]) -> None:
    registry = Registry()
    ordinals: dict[Hotkey, list[int]] = {}
    for snapshot in history:
        new = changes(registry, snapshot)
        record(registry, *new)
        for event in new:
            ordinals.setdefault(event.hotkey, []).append(event.ordinal)
    assert all(of_one == list(range(1, len(of_one) + 1)) for of_one in ordinals.values())
    assert all(second > first for of_one in ordinals.values() for first, second in pairwise(of_one))


def rejected(uid: int, rejection: Rejection = BAD) -> RejectedMiner:
    return RejectedMiner(facts.hotkey(uid), Uid(uid), rejection)


def after(*snapshots: Snapshot) -> Registry:
    registry = Registry()
    for snapshot in snapshots:
        record(registry, *changes(registry, snapshot))
    return registry


def kinds(registry: Registry, snapshot: Snapshot) -> list[tuple[type[Event], int]]:
    return [(type(it), it.ordinal) for it in changes(registry, snapshot)]


VALID = Snapshot(50, (miner(0),))
REJECTED = Snapshot(50, (), (rejected(0),))
EMPTY = Snapshot(50, ())


def test_a_rejection_says_what_and_why() -> None:
    (event,) = changes(Registry(), REJECTED)
    assert event == MinerCommitmentRejected(
        hotkey=facts.hotkey(0),
        ordinal=1,
        uid=Uid(0),
        block=50,
        committed_block=10,
        code=CommitmentRejection.MALFORMED,
        detail="why",
        digest="a" * 64,
    )


def test_a_rejection_is_told_once() -> None:
    assert kinds(after(REJECTED), REJECTED) == []


def test_other_words_for_the_same_rejection_are_no_news() -> None:
    again = Snapshot(50, (), (rejected(0, replace(BAD, detail="in other words")),))
    assert kinds(after(REJECTED), again) == []


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(WORSE, id="text"),
        pytest.param(replace(BAD, block=11), id="block"),
        pytest.param(replace(BAD, code=CommitmentRejection.BAD_REPO), id="code"),
    ],
)
def test_another_rejection_is_told(other: Rejection) -> None:
    assert kinds(after(REJECTED), Snapshot(50, (), (rejected(0, other),))) == [(MinerCommitmentRejected, 2)]


def test_a_new_bad_commitment_ends_the_good_one_before_it() -> None:
    registry = after(VALID)
    assert kinds(registry, REJECTED) == [(MinerCommitmentRejected, 2)]
    assert after(VALID, REJECTED).registered() == []


def test_a_good_commitment_after_a_bad_one_is_a_discovery() -> None:
    assert kinds(after(REJECTED), VALID) == [(MinerDiscovered, 2)]


def test_a_rejected_miner_departs_too() -> None:
    assert kinds(after(REJECTED), EMPTY) == [(MinerDeparted, 2)]
    assert kinds(after(REJECTED, EMPTY), EMPTY) == []


def test_who_returns_with_the_same_bad_commitment_is_rejected_again() -> None:
    assert kinds(after(REJECTED, EMPTY), REJECTED) == [(MinerCommitmentRejected, 3)]


def test_a_rejected_miner_in_another_slot_departs_and_is_rejected() -> None:
    moved = Snapshot(50, (), (replace(rejected(0), uid=Uid(3)),))
    assert kinds(after(REJECTED), moved) == [(MinerDeparted, 2), (MinerCommitmentRejected, 3)]


def test_nobody_stands_twice_in_a_snapshot() -> None:
    with pytest.raises(ValueError, match="one hotkey twice"):
        Snapshot(50, (miner(0),), (rejected(0),))


KEY, OTHER_KEY = (EndpointKey(bytes(range(start, start + 32))) for start in (0, 1))
SEALED_FOR_KEY = RegisteredMiner(facts.hotkey(0), Uid(0), facts.sealed_commitment(UUID(int=7), key=KEY))
SEALED = Snapshot(50, (SEALED_FOR_KEY, miner(1)))


@pytest.mark.parametrize("key", [KEY, None], ids=["our key", "no key"])
def test_a_sealed_endpoint_is_accepted(key: EndpointKey | None) -> None:
    assert judged(SEALED, Registry(), key) == SEALED


def test_a_sealed_endpoint_that_our_key_does_not_open_is_rejected() -> None:
    it = judged(SEALED, Registry(), OTHER_KEY)
    assert it.miners == (miner(1),)
    assert [(each.uid, each.rejection.code) for each in it.rejected] == [(0, CommitmentRejection.CANNOT_OPEN)]


def test_it_is_accepted_again_when_the_right_key_is_back() -> None:
    registry = after(judged(SEALED, Registry(), OTHER_KEY))
    assert kinds(registry, judged(SEALED, registry, KEY)) == [(MinerDiscovered, 2)]


def test_who_has_no_key_leaves_the_judgement_as_it_is() -> None:
    registry = after(judged(SEALED, Registry(), OTHER_KEY))
    assert kinds(registry, judged(SEALED, registry, None)) == []
    anew = Snapshot(50, (replace(SEALED_FOR_KEY, commitment=facts.sealed_commitment(UUID(int=8))), miner(1)))
    assert kinds(registry, judged(anew, registry, None)) == [(MinerDiscovered, 2)]
