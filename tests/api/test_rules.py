"""Rules over HTTP."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from consumers.scoring.handler import Scoring
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.rules import ScoringRules
from events.rules_file import RulesFile
from producers.rules.announcing import announce
from tests.controls import facts
from tests.controls.sealed_cycles import append_sealed, outcomes_of
from tests.fixtures.http import Api
from tests.fixtures.projecting import write

NOW = ScoringRules(temperature=Decimal("2.0"))
TO_COME = ScoringRules(temperature=Decimal(9))


@pytest.fixture
async def scored(event_log: JetStreamLog) -> None:
    """Cycle 1 under announced rules, with others to come from cycle 3."""
    plan = facts.planned(1, rules=NOW)
    await write(event_log, facts.rules_announced(1, rules=NOW), facts.rules_announced(3, rules=TO_COME))
    await append_sealed(event_log, plan, outcomes_of(plan))
    await Scoring(event_log).catch_up()


@pytest.mark.usefixtures("scored")
async def test_the_rules_in_force_and_those_to_come_are_told(api: Api) -> None:
    answer = (await api.get("/v1/rules")).json
    assert (answer["cycle_id"], answer["announced_from"]) == (1, 1)
    assert answer["in_force"]["temperature"] == "2.0"
    now, later = answer["announced"]
    assert (now["state"], now["from_cycle"], now["counts_from"]) == ("in force", 1, 1)
    assert (later["state"], later["from_cycle"], later["rules"]["temperature"]) == ("to come", 3, "9")
    assert later["note"] == "warmer"
    assert later["sequence"] == 2


async def test_without_any_announcement_the_plans_rules_are_in_force(api: Api, event_log: JetStreamLog) -> None:
    await write(event_log, facts.planned(1, rules=NOW))
    answer = (await api.get("/v1/rules")).json
    assert (answer["announced_from"], answer["announced"]) == (None, [])
    assert answer["in_force"]["temperature"] == "2.0"


async def test_before_the_first_cycle_none_are_in_force(api: Api) -> None:
    assert (await api.get("/v1/rules")).json == {
        "cycle_id": None,
        "in_force": None,
        "announced_from": None,
        "announced": [],
    }


@pytest.mark.usefixtures("scored")
async def test_what_rules_to_come_would_have_given_is_told(api: Api) -> None:
    answer = (await api.get("/v1/weights/1/shadow")).json
    (shadow,) = answer["shadows"]
    assert (answer["cycle_id"], shadow["rules_from_cycle"], shadow["withheld"]) == (1, 3, None)
    assert [it["uid"] for it in shadow["standings"]] == [0, 1]
    assert sum(it["u16"] for it in shadow["standings"]) == 65_535
    assert sum(Decimal(it["weight"]) for it in shadow["standings"]) == 1


async def test_why_rules_to_come_would_have_given_no_weights_is_told(api: Api, event_log: JetStreamLog) -> None:
    await write(event_log, facts.rules_announced(3))
    await append_sealed(event_log, facts.planned(1), outcomes_of(facts.planned(1), winners=()))
    await Scoring(event_log).catch_up()
    (shadow,) = (await api.get("/v1/weights/1/shadow")).json["shadows"]
    assert shadow["withheld"]["reason"] == "no_points"


async def test_a_cycle_without_rules_to_come_has_no_shadow(api: Api, event_log: JetStreamLog) -> None:
    await append_sealed(event_log, facts.planned(1), outcomes_of(facts.planned(1)))
    await Scoring(event_log).catch_up()
    assert (await api.get("/v1/weights/1/shadow")).json == {"cycle_id": 1, "shadows": []}


async def test_a_cycle_that_is_unknown_or_not_scored_has_no_answer(api: Api, event_log: JetStreamLog) -> None:
    assert await api.problem("/v1/weights/9/shadow") == (404, "unknown-cycle")
    await write(event_log, facts.planned(1))
    assert await api.problem("/v1/weights/1/shadow") == (404, "no-weights")


async def test_what_the_command_announces_is_told(api: Api, event_log: JetStreamLog) -> None:
    await write(event_log, facts.planned(1))
    await announce(event_log, CycleId(2), RulesFile(Path("rules.toml"), {"points": "equal"}), "equal points")
    (announced,) = (await api.get("/v1/rules")).json["announced"]
    assert (announced["state"], announced["rules"]["points"], announced["note"]) == (
        "to come",
        "equal",
        "equal points",
    )
