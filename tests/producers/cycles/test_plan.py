"""Who is evaluated."""

from __future__ import annotations

import hashlib

from events.codec import decode, draft
from events.cycles import CyclePlanned
from events.envelope import begin
from events.event import Event
from events.ids import CycleId
from events.log import Stored
from events.miners import MinerDiscovered
from events.seeds import cycle_secret
from producers.cycles.plan import plan_cycle
from producers.discovery.registry import Registry
from tests.controls import facts
from tests.producers.driving import MASTER_KEY, settings

BLOCK = 50


def registry(*events: Event) -> Registry:
    known = Registry()
    for sequence, event in enumerate(events, start=1):
        it = draft(begin(event, source="/t"))
        known.apply(decode(Stored(sequence, it.subject, it.body)))
    return known


def planned(*events: Event) -> CyclePlanned:
    plan = plan_cycle(CycleId(7), registry(*events), settings(), BLOCK)
    assert isinstance(plan, CyclePlanned), plan
    return plan


def without_endpoint(uid: int) -> MinerDiscovered:
    return facts.discovered(uid).model_copy(update={"commitment": facts.commitment(uid, endpoint=None)})


def test_all_registered_miners_are_evaluated_by_uid() -> None:
    plan = planned(facts.discovered(2), facts.discovered(0), facts.discovered(1))
    assert [entry.uid for entry in plan.roster] == [0, 1, 2]


def test_a_departed_miner_is_not_evaluated() -> None:
    plan = planned(facts.discovered(0), facts.discovered(1), facts.departed(0))
    assert [entry.uid for entry in plan.roster] == [1]


def test_a_miner_without_endpoint_is_not_evaluated() -> None:
    plan = planned(without_endpoint(0), facts.discovered(1))
    assert [entry.uid for entry in plan.roster] == [1]


def test_the_newest_commitment_is_evaluated() -> None:
    plan = planned(facts.discovered(0), facts.commitment_changed(0))
    assert plan.roster[0].commitment == facts.commitment_changed(0).commitment


def test_a_uid_that_two_hotkeys_claim_belongs_to_the_later() -> None:
    second = facts.discovered(1).model_copy(update={"uid": 0})
    assert [entry.hotkey for entry in planned(facts.discovered(0), second).roster] == [facts.hotkey(1)]


def test_the_plan_commits_to_the_secret_of_its_cycle() -> None:
    secret = cycle_secret(MASTER_KEY, CycleId(7))
    assert planned(facts.discovered()).secret_commitment == hashlib.sha256(secret).hexdigest()


def test_the_plan_says_what_the_settings_say() -> None:
    plan, using = planned(facts.discovered()), settings()
    assert (plan.environments, plan.terms, plan.rules) == (using.environments, using.terms, using.rules)
    assert (plan.block, plan.deadline_s, plan.versions) == (50, 3600, {"mujoco": "3.3.0"})


def test_nobody_is_no_plan_but_a_reason() -> None:
    known = registry(facts.discovered(1), facts.departed(1), without_endpoint(0))
    reason = plan_cycle(CycleId(7), known, settings(), BLOCK)
    assert isinstance(reason, str)
    assert reason.startswith("cycle 7 has nobody to evaluate: of 1 registered miners none has an endpoint")
