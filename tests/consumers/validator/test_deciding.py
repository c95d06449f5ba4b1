"""What is decided, without servers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from consumers.validator.attempt import LOST_AFTER_BLOCKS, Attempt, Fate, settled
from consumers.validator.checks import Refusal
from consumers.validator.deciding import Alarmed, Done, Refuse, Submit, Wait, after_checks, before_checks
from consumers.validator.facts import Commit, Facts, Us, check_uids
from consumers.validator.verifying import AGE_MAX, Verified, check_age
from events.ids import CycleId, Hotkey
from tests.controls import facts as controls

WEIGHTS = ((0, 65_535), (1, 1_201))
STATEMENT = "ab" * 32


def us(**changes: Any) -> Us:
    plain = Us(uid=2, permit=True, stake_rao=10**12, last_update=900, weights=(), commits=())
    return replace(plain, **changes)


def chain(ours: Us | None = None, **changes: Any) -> Facts:
    plain = Facts(
        genesis="00" * 32,
        netuid=7,
        block=1000,
        head=1003,
        hotkeys=(controls.hotkey(0), controls.hotkey(1), Hotkey("validator")),
        commit_reveal=False,
        rate_limit=100,
        stake_min_rao=10**9,
        version_key=0,
        weight_max=65_535,
        weights_min=1,
        us=ours or us(),
    )
    return replace(plain, **changes)


def attempt(cycle: int = 5, **changes: Any) -> Attempt:
    plain = Attempt(cycle=CycleId(cycle), statement=STATEMENT, weights=WEIGHTS, sealed=False, after_block=1000)
    return replace(plain, **changes)


def decide(facts: Facts, before: Attempt | None = None) -> Done | Wait | Refuse | Alarmed | Submit:
    return after_checks(CycleId(5), STATEMENT, WEIGHTS, before, facts)


def test_weights_that_passed_are_submitted() -> None:
    assert decide(chain()) == Submit()


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(chain(), us=None), "holds no uid"),
        (chain(us(permit=False)), "no validator permit"),
        (chain(us(stake_rao=10**8)), "stake of 0.1"),
        (chain(weights_min=3), "at least 3"),
    ],
    ids=["not registered", "no permit", "no stake", "too few miners"],
)
def test_what_the_chain_would_refuse_is_not_tried(facts: Facts, said: str) -> None:
    decision = decide(facts)
    assert isinstance(decision, Refuse)
    assert said in decision.why


def test_the_rate_limit_is_waited_for() -> None:
    decision = decide(chain(us(last_update=950)))
    assert isinstance(decision, Wait)
    assert decision.block == 1050


def test_the_first_block_that_the_rate_limit_allows_is_taken() -> None:
    assert decide(chain(us(last_update=900))) == Submit()
    assert isinstance(decide(chain(us(last_update=901))), Wait)


def test_who_never_set_weights_waits_for_nothing() -> None:
    assert decide(chain(us(last_update=0), block=50)) == Submit()


def test_weights_that_the_chain_holds_are_not_submitted_again_after_the_memory_is_lost() -> None:
    assert isinstance(decide(chain(us(weights=WEIGHTS))), Done)


def test_equal_weights_of_another_cycle_are_submitted_where_the_cycle_before_is_remembered() -> None:
    assert decide(chain(us(weights=WEIGHTS)), attempt(4, fate=Fate.LANDED)) == Submit()


def test_another_statement_of_the_same_cycle_is_an_alarm() -> None:
    decision = decide(chain(), attempt(5, statement="cd" * 32, fate=Fate.LOST))
    assert isinstance(decision, Alarmed)
    assert "ANOTHER STATEMENT" in decision.why


@pytest.mark.parametrize("fate", [Fate.LANDED, Fate.REVEALED, Fate.OTHERS])
def test_a_cycle_is_submitted_once(fate: Fate) -> None:
    assert isinstance(before_checks(CycleId(5), attempt(5, fate=fate), None), Done)


@pytest.mark.parametrize("fate", [Fate.LANDED, Fate.REVEALED, Fate.OTHERS, Fate.LOST])
def test_an_older_cycle_never_follows_a_newer_one(fate: Fate) -> None:
    assert isinstance(before_checks(CycleId(4), attempt(5, fate=fate), None), Refuse)


def test_what_is_lost_is_submitted_again() -> None:
    assert before_checks(CycleId(5), attempt(5, fate=Fate.LOST), None) is None


@pytest.mark.parametrize("cycle", [4, 5, 6])
def test_nothing_is_sent_while_the_fate_of_something_is_unknown(cycle: int) -> None:
    assert isinstance(before_checks(CycleId(cycle), attempt(5), chain()), Wait)


def test_weights_that_are_there_have_landed() -> None:
    now = settled(attempt(), chain(us(last_update=1004, weights=WEIGHTS)))
    assert (now.fate, now.block) == (Fate.LANDED, 1004)


def test_other_weights_of_our_hotkey_are_somebody_elses() -> None:
    assert settled(attempt(), chain(us(last_update=1004, weights=((0, 1),)))).fate is Fate.OTHERS


def test_a_commitment_at_the_block_of_the_update_is_ours() -> None:
    commits = (Commit(700, 1), Commit(1004, 2))
    assert settled(attempt(sealed=True), chain(us(last_update=1004, commits=commits))).fate is Fate.LANDED


def test_an_update_before_it_was_sent_says_nothing() -> None:
    now = settled(attempt(), chain(us(last_update=1000, weights=WEIGHTS)))
    assert (now.fate, now.lost_after) == (Fate.SENT, 1003 + LOST_AFTER_BLOCKS)


def test_it_is_lost_only_when_no_block_can_hold_it_any_more() -> None:
    waiting = attempt(lost_after=1035)
    assert settled(waiting, chain(block=1035)).fate is Fate.SENT
    assert settled(waiting, chain(block=1036)).fate is Fate.LOST


@pytest.mark.parametrize(
    ("ours", "fate"),
    [
        (us(last_update=1004, commits=(Commit(1004, 2),)), Fate.LANDED),
        (us(last_update=1004, weights=WEIGHTS), Fate.REVEALED),
        (us(last_update=1004, weights=((1, 65_535),)), Fate.OTHERS),
    ],
    ids=["still sealed", "revealed", "revealed as something else"],
)
def test_sealed_weights_are_looked_after_until_they_are_revealed(ours: Us, fate: Fate) -> None:
    assert settled(attempt(sealed=True, fate=Fate.LANDED, block=1004), chain(ours)).fate is fate


def test_a_hotkey_that_lost_its_uid_is_named() -> None:
    hotkeys = (controls.hotkey(0), Hotkey("newcomer"), Hotkey("validator"))
    with pytest.raises(Refusal, match=r"uid 1: expected hotkey-1, found newcomer at block 1000"):
        check_uids(controls.weights_computed(), chain(hotkeys=hotkeys))


def test_a_uid_that_nobody_holds_is_named() -> None:
    with pytest.raises(Refusal, match="uid 1: expected hotkey-1, found nobody"):
        check_uids(controls.weights_computed(), chain(hotkeys=(controls.hotkey(0),)))


def test_who_gets_no_weight_may_have_left() -> None:
    weights = controls.weights_computed()
    none = weights.model_copy(update={"weights_u16": weights.weights_u16.model_copy(update={"values": (65_535, 0)})})
    assert "1 without weight" in check_uids(none, chain(hotkeys=(controls.hotkey(0),)))


def test_weights_count_for_a_day_after_the_deadline_of_their_cycle() -> None:
    verified = Verified(CycleId(5), controls.weights_computed(), "", Hotkey("key"), controls.MOMENT, 3600)
    last = controls.MOMENT + timedelta(seconds=3600) + AGE_MAX
    check_age(verified, last)
    with pytest.raises(Refusal, match="is there none newer"):
        check_age(verified, last + timedelta(seconds=1))
