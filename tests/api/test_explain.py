"""What a miner who lost is told, over HTTP."""

from __future__ import annotations

import asyncio
import json

import pytest

from consumers.scoring.evidence import read_evidence
from consumers.scoring.weighing import weigh
from events.codec import draft
from events.envelope import begin
from events.weights import WeightsComputed
from tests.cli.conftest import PROGRAM
from tests.controls import facts
from tests.controls.sealed_cycles import append_sealed, outcomes_of, outcomes_where
from tests.fixtures.http import Api, Written
from tests.fixtures.nats import NatsProcess


@pytest.fixture
async def scored(read_side: Written) -> WeightsComputed:
    """Ten episodes on each of two environments: uid 1, who came later, succeeds always, uid 0 never."""
    plan = facts.planned(1, episodes=10)
    seal = await append_sealed(read_side.log, plan, outcomes_of(plan, winners=(1,)))
    evidence = await read_evidence(read_side.log, seal)
    weights = weigh(evidence.plan, evidence.tallies, seal)
    assert isinstance(weights, WeightsComputed)
    await read_side.log.append([draft(begin(weights, source="/test"))])
    await read_side.project()
    return weights


@pytest.fixture
async def moved(read_side: Written) -> WeightsComputed:
    """Each of two miners won an environment, and uid 0 had changed hands when the cycle ended."""
    plan = facts.planned(1, episodes=10, chain=facts.chain_terms())
    outcomes = outcomes_where(plan, {0: facts.REACH, 1: facts.PUSH})
    seal = await append_sealed(read_side.log, plan, [*outcomes], extra=[facts.slots_checked(moved=(0,))])
    evidence = await read_evidence(read_side.log, seal)
    weights = weigh(evidence.plan, evidence.tallies, seal, evidence.unpaid)
    assert isinstance(weights, WeightsComputed)
    await read_side.log.append([draft(begin(weights, source="/test"))])
    await read_side.project()
    return weights


@pytest.mark.usefixtures("moved")
async def test_a_slot_that_changed_hands_is_paid_nothing_and_its_old_holder_is_told_why(api: Api) -> None:
    latest = (await api.get("/v1/weights/latest")).json
    assert latest["weights_u16"]["uids"] == [0, 1]
    assert latest["weights_u16"]["values"] == [0, 65_535]
    weight = (await api.get("/v1/weights/1/explain/hotkey-0")).json["weight"]
    assert (weight["u16"], float(weight["weight"]), weight["moved"]) == (0, 0, True)
    assert (await api.get("/v1/weights/1/explain/hotkey-1")).json["weight"]["moved"] is False


async def test_explanation_leads_to_the_published_weight(api: Api, scored: WeightsComputed) -> None:
    for standing in scored.standings:
        answer = (await api.get(f"/v1/weights/1/explain/{standing.hotkey}")).json
        assert answer["weight"]["weight"] == standing.weight
        assert answer["points"]["recomputed"] == answer["points"]["published"] == standing.points
        assert answer["frontier"]["published"] == (answer["frontier"]["dominated_by_total"] == 0)
        assert answer["proof"]["merkle_root"] == scored.merkle_root


@pytest.mark.usefixtures("scored")
async def test_loser_is_told_why(api: Api) -> None:
    answer = (await api.get("/v1/weights/1/explain/0")).json
    assert answer["subsets"]["wins_within"] == []
    assert {loss["reason"] for loss in answer["subsets"]["smallest_lost"]} == {"no success"}
    beaten = answer["environments"][0]["exceeded_by"]
    assert beaten["total"] == 1
    assert (beaten["listed"][0]["threshold"], beaten["listed"][0]["by"]) == (
        "0.04719639816765682",
        "0.95280360183234318",
    )


@pytest.mark.usefixtures("scored")
async def test_comparison_names_the_episodes_in_which_two_miners_differ(api: Api) -> None:
    answer = (await api.get("/v1/cycles/1/compare/hotkey-0/1?limit=3&offset=15")).json
    assert answer["overall"]["difference"] == "-1"
    assert answer["overall"]["verdict"] == "second is better"
    assert answer["differing"][0] == {
        "first": "1.0.metaworld.reach-v3.5",
        "second": "1.1.metaworld.reach-v3.5",
        "succeeds": "second",
    }
    assert (answer["differing_total"], len(answer["differing"]), answer["next_offset"]) == (20, 3, 18)


@pytest.mark.usefixtures("scored")
async def test_unknown_names_are_problems(api: Api) -> None:
    assert await api.problem("/v1/weights/2/explain/0") == (404, "unknown-cycle")
    assert await api.problem("/v1/weights/1/explain/nobody") == (404, "unknown-miner")
    assert await api.problem("/v1/cycles/1/compare/0/nobody") == (404, "unknown-miner")


async def test_cycle_without_weights_is_a_conflict(api: Api, read_side: Written) -> None:
    plan = facts.planned(1)
    await append_sealed(read_side.log, plan, outcomes_of(plan))
    await read_side.project()
    assert await api.problem("/v1/weights/1/explain/0") == (409, "not-yet-scored")
    await read_side.log.append([draft(begin(facts.weights_withheld(1), source="/test"))])
    await read_side.project()
    assert await api.problem("/v1/weights/1/explain/0") == (409, "weights-withheld")


async def told(*arguments: str) -> tuple[int | None, str, str]:
    """Exit status and output of `kinitro ARGUMENTS`."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.usefixtures("scored")
async def test_command_says_the_same_from_the_log_and_from_the_api(api: Api, nats_server: NatsProcess) -> None:
    from_log = await told("explain", "1", "hotkey-1", "--json", "--nats-url", nats_server.url)
    from_api = await told("explain", "1", "1", "--json", "--api-url", api.base_url)
    assert (from_log[0], from_log[2]) == (0, "")
    assert json.loads(from_log[1]) == json.loads(from_api[1])


@pytest.mark.usefixtures("scored")
async def test_command_refuses_an_unknown_miner(nats_server: NatsProcess) -> None:
    status, _, said = await told("explain", "1", "nobody", "--nats-url", nats_server.url)
    assert status == 2
    assert "nobody" in said


@pytest.mark.usefixtures("scored")
async def test_comparison_is_the_same_from_the_log_and_from_the_api(api: Api, nats_server: NatsProcess) -> None:
    from_log, from_api = await asyncio.gather(
        told("compare", "1", "hotkey-1", "0", "--json", "--nats-url", nats_server.url),
        told("compare", "1", "1", "hotkey-0", "--json", "--api-url", api.base_url),
    )
    assert (from_log[0], from_log[2]) == (0, "")
    assert json.loads(from_log[1]) == json.loads(from_api[1])
    assert len(json.loads(from_log[1])["differing"]) == 20


async def test_comparison_of_nothing_is_refused_by_either(api: Api, nats_server: NatsProcess) -> None:
    sources = (("--nats-url", nats_server.url), ("--api-url", api.base_url))
    for status, _, said in await asyncio.gather(*(told("compare", "7", "0", "1", *source) for source in sources)):
        assert status == 2
        assert "cycle 7" in said
