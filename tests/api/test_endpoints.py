"""What clients rely on: paths and fields."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from events.episodes import ForfeitCode
from events.weights import WithheldReason
from tests.controls import facts
from tests.controls.cycles import large_cycle
from tests.fixtures.http import Api, Written
from tests.fixtures.projecting import write

MISSING = object()


@pytest.fixture
async def evaluated(read_side: Written) -> None:
    """One whole cycle of two miners; uid 0 succeeds always, uid 1 never."""
    await write(read_side.log, facts.discovered(0), facts.discovered(1), *facts.whole_cycle())
    await read_side.project()


def fields(document: Any, *names: str) -> set[str]:
    return {name for name in names if name not in document}


def moment(second: int) -> str:
    return (facts.MOMENT + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


@pytest.mark.usefixtures("evaluated")
async def test_health_names_its_parts(api: Api) -> None:
    answer = await api.get("/health")
    assert answer.status == 200
    assert answer.json["status"] == "healthy"
    assert answer.json["database"] == "connected"
    assert answer.json["log"] == "connected"
    assert {name: it["lag"] for name, it in answer.json["projections"].items()} == dict.fromkeys(
        ("cycles", "episodes", "miners", "moments", "verifications", "weights"), 0
    )


@pytest.mark.usefixtures("evaluated")
async def test_status_between_cycles(api: Api) -> None:
    answer = (await api.get("/v1/status")).json
    next_eval_in_seconds = answer.pop("next_eval_in_seconds")
    assert next_eval_in_seconds == 0.0
    assert answer == {
        "status": "waiting",
        "current_block": 51,
        "last_eval_block": 50,
        "miners_registered": 2,
        "environments_enabled": [facts.REACH, facts.PUSH],
        "current_cycle": None,
        "last_completed_cycle": 1,
        "total_cycles": 1,
        "is_evaluating": False,
    }


@pytest.mark.usefixtures("evaluated")
async def test_status_during_a_cycle(api: Api, read_side: Written) -> None:
    await write(read_side.log, facts.planned(2, block=60), facts.seeded(2, block=61))
    await read_side.project()
    answer = (await api.get("/v1/status")).json
    assert answer["is_evaluating"] is True
    assert answer["status"] == "evaluating"
    assert answer["next_eval_in_seconds"] is None
    assert (answer["current_cycle"], answer["last_completed_cycle"], answer["total_cycles"]) == (2, 1, 2)
    assert answer["current_block"] == 61


async def test_status_before_anything_happened(api: Api) -> None:
    answer = (await api.get("/v1/status")).json
    assert answer["total_cycles"] == 0
    assert answer["current_block"] is None
    assert answer["environments_enabled"] == []


@pytest.mark.parametrize("path", ["/v1/weights/latest", "/v1/weights/50"])
@pytest.mark.usefixtures("evaluated")
async def test_weights(api: Api, path: str) -> None:
    answer = (await api.get(path)).json
    metadata = answer.pop("metadata")
    assert answer == {
        "cycle_id": 1,
        "block": 50,
        "block_number": 50,
        "created_at": moment(13),
        "timestamp": moment(13),
        "weights": {"0": 0.9, "1": 0.1},
        "weights_u16": {"uids": [0, 1], "values": [58982, 6553]},
    }
    assert metadata["weights_exact"] == {"0": "0.9", "1": "0.1"}
    assert metadata["sequence"] == 14


@pytest.mark.usefixtures("evaluated")
async def test_withheld_weights_leave_the_last_good_ones_in_force(api: Api, read_side: Written) -> None:
    await write(read_side.log, facts.planned(2), facts.sealed(2), facts.weights_withheld(2))
    await read_side.project()
    assert (await api.get("/v1/weights/latest")).json["cycle_id"] == 1
    scores = (await api.get("/v1/scores/latest")).json
    assert scores["cycle_id"] == 2
    assert scores["withheld"]["reason"] == "no_points"


@pytest.mark.parametrize("path", ["/v1/scores/latest", "/v1/scores/1"])
@pytest.mark.usefixtures("evaluated")
async def test_scores(api: Api, path: str) -> None:
    answer = (await api.get(path)).json
    assert (answer["cycle_id"], answer["block"], answer["created_at"]) == (1, 50, moment(13))
    assert answer["scores"] == {
        "0": {facts.PUSH: 1.0, facts.REACH: 1.0},
        "1": {facts.PUSH: 0.0, facts.REACH: 0.0},
    }
    assert answer["pareto_frontier"] == [0]
    assert answer["standings"][1]["episodes"][facts.PUSH] == {
        "completed": 2,
        "successful": 0,
        "forfeited": 0,
        "abandoned": 0,
    }


async def test_an_abandoned_cycle_has_no_scores_and_its_problem_says_why(api: Api, read_side: Written) -> None:
    withheld = facts.weights_withheld(1).model_copy(
        update={"standings": (), "reason": WithheldReason.CYCLE_ABANDONED, "detail": "coverage 0.2 below 0.5"}
    )
    await write(read_side.log, facts.planned(), facts.cycle_abandoned(), withheld)
    await read_side.project()
    answer = await api.get("/v1/scores/1")
    assert answer.status == 404
    assert "coverage 0.2 below 0.5" in answer.json["detail"]
    assert await api.problem("/v1/scores/latest") == (404, "no-scores")


@pytest.mark.usefixtures("evaluated")
async def test_miners(api: Api) -> None:
    miners = (await api.get("/v1/miners")).json["miners"]
    assert [miner["uid"] for miner in miners] == [0, 1]
    assert {name: miners[0][name] for name in ("hotkey", "endpoint", "status")} == {
        "hotkey": "hotkey-0",
        "endpoint": "http://127.0.0.1:9000",
        "status": "registered",
    }
    assert miners[0]["last_evaluated"] == moment(10)


async def test_a_miner_with_an_encrypted_endpoint_shows_none(api: Api, read_side: Written) -> None:
    hidden = facts.discovered(3).model_copy(update={"commitment": facts.commitment(3, endpoint=None)})
    await write(read_side.log, hidden)
    await read_side.project()
    (miner,) = (await api.get("/v1/miners")).json["miners"]
    assert miner["endpoint"] is None
    assert miner["last_evaluated"] is None


async def test_a_rejected_miner_is_told_why_until_it_commits_anew(api: Api, read_side: Written) -> None:
    rejection = facts.commitment_rejected(0, ordinal=1)
    await write(read_side.log, rejection)
    await read_side.project()
    (miner,) = (await api.get("/v1/miners")).json["miners"]
    assert (miner["status"], miner["code"], miner["detail"]) == ("rejected", "malformed", rejection.detail)
    assert (miner["repo"], miner["revision"], miner["endpoint"], miner["commitment_block"]) == (None, None, None, 35)
    await write(read_side.log, facts.discovered(0, ordinal=2))
    await read_side.project()
    (miner,) = (await api.get("/v1/miners")).json["miners"]
    assert (miner["status"], miner["code"], miner["repo"]) == ("registered", None, "user/policy-0")


async def test_a_rejected_miner_does_not_count_as_registered(api: Api, read_side: Written) -> None:
    await write(read_side.log, facts.discovered(0), facts.discovered(1), facts.commitment_rejected(1))
    await read_side.project()
    assert (await api.get("/v1/status")).json["miners_registered"] == 1


async def test_a_miner_that_left_is_shown_until_its_uid_is_taken(api: Api, read_side: Written) -> None:
    await write(read_side.log, facts.discovered(0), facts.departed(0))
    await read_side.project()
    (miner,) = (await api.get("/v1/miners")).json["miners"]
    assert (miner["hotkey"], miner["status"]) == ("hotkey-0", "departed")
    await write(read_side.log, facts.discovered(7).model_copy(update={"uid": 0}))
    await read_side.project()
    (miner,) = (await api.get("/v1/miners")).json["miners"]
    assert (miner["hotkey"], miner["status"]) == ("hotkey-7", "registered")


@pytest.mark.usefixtures("evaluated")
async def test_environments(api: Api) -> None:
    environments = (await api.get("/v1/environments")).json["environments"]
    assert environments[0] == {
        "id": facts.PUSH,
        "family": "metaworld",
        "task": "push-v3",
        "enabled": True,
        "first_cycle": 1,
        "last_cycle": 1,
        "completed": 4,
        "successful": 2,
        "forfeited": 0,
        "abandoned": 0,
    }
    assert environments[1]["id"] == facts.REACH


@pytest.mark.usefixtures("evaluated")
async def test_an_environment_that_left_the_plan_is_not_enabled(api: Api, read_side: Written) -> None:
    await write(read_side.log, facts.planned(2, environments=(facts.REACH,)))
    await read_side.project()
    environments = (await api.get("/v1/environments")).json["environments"]
    assert {each["id"]: each["enabled"] for each in environments} == {facts.PUSH: False, facts.REACH: True}


@pytest.mark.usefixtures("evaluated")
async def test_a_cycle_with_plan_progress_and_seal(api: Api) -> None:
    answer = (await api.get("/v1/cycles/1")).json
    assert (answer["status"], answer["episodes_planned"], answer["planned_at"]) == ("sealed", 8, moment(2))
    assert answer["progress"] == {
        "completed": 8,
        "successful": 4,
        "forfeited": 0,
        "abandoned": 0,
        "attempts_failed": 0,
    }
    assert answer["plan"] == facts.planned().model_dump(mode="json")
    assert answer["seal"] == facts.sealed().model_dump(mode="json")
    assert answer["seed"] == {"block": 51, "block_hash": facts.seeded().block_hash}


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([facts.planned()], "planned"),
        ([facts.planned(), facts.seeded()], "running"),
        ([facts.planned(), facts.seeded(), facts.sealed()], "sealed"),
        ([facts.planned(), facts.seeded(), facts.cycle_abandoned()], "abandoned"),
    ],
)
async def test_the_states_of_a_cycle(api: Api, read_side: Written, events: list[Any], status: str) -> None:
    await write(read_side.log, *events)
    await read_side.project()
    assert (await api.get("/v1/cycles/1")).json["status"] == status


async def test_cycles_are_paged_newest_first(api: Api, read_side: Written) -> None:
    await write(read_side.log, *(facts.planned(number) for number in range(1, 6)))
    await read_side.project()
    numbers, cursor = [], ""
    while cursor is not None:
        page = (await api.get(f"/v1/cycles?limit=2{cursor and f'&cursor={cursor}'}")).json
        assert len(page["cycles"]) <= 2
        numbers += [cycle["id"] for cycle in page["cycles"]]
        cursor = page["next_cursor"]
    assert numbers == [5, 4, 3, 2, 1]


async def pages(api: Api, path: str) -> list[Any]:
    found, cursor = [], ""
    while cursor is not None:
        page = (await api.get(f"{path}{cursor and f'&cursor={cursor}'}")).json
        found += page["episodes"]
        cursor = page["next_cursor"]
    return found


async def test_the_episodes_of_a_cycle_are_paged_without_a_gap_or_a_doublet(api: Api, read_side: Written) -> None:
    await write(read_side.log, *large_cycle(miners=3, environments=2, episodes=7))
    await read_side.project()
    found = await pages(api, "/v1/cycles/1/episodes?limit=5")
    assert [each["id"] for each in found] == [
        f"1.{uid}.metaworld.task-{env}-v3.{index}" for uid in range(3) for env in range(2) for index in range(7)
    ]


@pytest.mark.usefixtures("evaluated")
async def test_episodes_can_be_filtered_by_miner_and_environment(api: Api) -> None:
    found = await pages(api, f"/v1/cycles/1/episodes?limit=1&uid=1&env={facts.PUSH}")
    assert [each["id"] for each in found] == ["1.1.metaworld.push-v3.0", "1.1.metaworld.push-v3.1"]


@pytest.mark.usefixtures("evaluated")
async def test_a_completed_episode(api: Api) -> None:
    answer = (await api.get("/v1/episodes/1.0.metaworld.reach-v3.0")).json
    expected = facts.completed()
    assert answer["status"] == "completed"
    for name in ("hotkey", "success", "total_reward", "steps"):
        assert answer[name] == getattr(expected, name)
    assert answer["evidence"] == expected.evidence.model_dump()
    assert answer["latency"] == expected.latency.model_dump()
    assert answer["attempts"] == []


async def test_an_episode_that_was_given_up_was_never_tried(api: Api, read_side: Written) -> None:
    given_up = facts.forfeited(code=ForfeitCode.GIVEN_UP).model_copy(update={"evidence": None})
    await write(read_side.log, facts.planned(), given_up)
    await read_side.project()
    answer = (await api.get("/v1/episodes/1.0.metaworld.reach-v3.0")).json
    assert (answer["status"], answer["code"], answer["attempts_made"]) == ("forfeited", "given_up", 0)
    assert answer["evidence"] is None


async def test_a_forfeited_episode_with_the_attempt_before_it(api: Api, read_side: Written) -> None:
    await write(read_side.log, facts.planned(), facts.attempt_failed(), facts.forfeited(attempt=2))
    await read_side.project()
    answer = (await api.get("/v1/episodes/1.0.metaworld.reach-v3.0")).json
    assert (answer["status"], answer["code"], answer["attempts_made"]) == ("forfeited", "deadline_missed", 2)
    assert "answer within the deadline" in answer["detail"]
    (attempt,) = answer["attempts"]
    assert (attempt["attempt"], attempt["code"]) == (1, "worker_lost")


async def test_an_abandoned_episode(api: Api, read_side: Written) -> None:
    await write(read_side.log, facts.planned(), facts.abandoned())
    await read_side.project()
    answer = (await api.get("/v1/episodes/1.0.metaworld.reach-v3.0")).json
    assert (answer["status"], answer["code"], answer["success"]) == ("abandoned", "attempts_exhausted", None)


async def test_a_planned_episode_is_pending(api: Api, read_side: Written) -> None:
    await write(read_side.log, facts.planned(), facts.attempt_failed(facts.key(uid=1)))
    await read_side.project()
    answer = (await api.get("/v1/episodes/1.1.metaworld.reach-v3.0")).json
    assert (answer["status"], answer["hotkey"], answer["attempts_made"]) == ("pending", "hotkey-1", 1)


async def test_the_documentation_lists_every_path(api: Api) -> None:
    assert (await api.get("/docs")).status == 200
    paths = (await api.get("/openapi.json")).json["paths"]
    assert set(paths) >= {
        "/health",
        "/livez",
        "/readyz",
        "/v1/status",
        "/v1/weights/latest",
        "/v1/weights/{block}",
        "/v1/scores/latest",
        "/v1/scores/{cycle_id}",
        "/v1/miners",
        "/v1/environments",
        "/v1/cycles",
        "/v1/cycles/{cycle_id}",
        "/v1/cycles/{cycle_id}/episodes",
        "/v1/episodes/{episode_id}",
        "/v1/episodes/{episode_id}/live",
        "/metrics",
        "/v1/cycles/{cycle_id}/verifications",
        "/v1/cycles/{cycle_id}/verifications/{uid}",
        "/v1/cycles/{cycle_id}/copies",
        "/v1/miners/{hotkey}/verifications",
    }
