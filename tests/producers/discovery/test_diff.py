"""What changed, and that applying it gives the snapshot."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from events.codec import decode, draft
from events.envelope import begin
from events.event import Event
from events.ids import Hotkey, Uid
from events.log import Stored
from events.miners import Commitment, MinerCommitmentChanged, MinerDeparted, MinerDiscovered
from producers.discovery.diff import changes
from producers.discovery.registry import Registry
from producers.discovery.source import RegisteredMiner, Snapshot
from tests.controls import facts
from tests.producers.driving import miner


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
    miners = [
        miner(uid, f"h{hotkey}", revision=draw(st.sampled_from(["one", "two"])))
        for hotkey, uid in zip(hotkeys, uids, strict=False)
    ]
    return Snapshot(50, tuple(miners))


HISTORIES = st.lists(snapshots(), min_size=1, max_size=6)


@given(HISTORIES)
def test_applying_the_changes_gives_the_snapshot(history: list[Snapshot]) -> None:
    registry = Registry()
    for snapshot in history:
        record(registry, *changes(registry, snapshot))
        assert miners_of(registry) == {(it.hotkey, it.uid, it.commitment) for it in snapshot.miners}


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
            uids = [it.uid for it in registry.registered()]
            assert len(set(uids)) == len(uids)


@given(HISTORIES)
def test_the_order_of_a_snapshot_does_not_matter(history: list[Snapshot]) -> None:
    registry = Registry()
    for snapshot in history:
        turned = Snapshot(snapshot.block, snapshot.miners[::-1])
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
