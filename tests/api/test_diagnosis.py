"""What an owner is told of how its policy failed."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from events.ids import CycleId, EpisodeKey, Hotkey
from events.verification import VerificationOutcome
from tests.controls import facts
from tests.fixtures.http import Api, Written, patient_settings
from tests.fixtures.nats import NatsProcess
from tests.fixtures.owned import MINER, NOW_NS, PATH, api_at_noon, ask, signed
from tests.fixtures.projecting import write

NONCES = itertools.count(NOW_NS - 10**9)


@pytest.fixture
async def api(evaluated_miner: Hotkey, database_url: str, nats_server: NatsProcess) -> AsyncIterator[Api]:
    assert evaluated_miner
    async with api_at_noon(patient_settings(database_url, nats_server.url)) as api:
        yield api


async def diagnosis(api: Api, query: str = "", *, by: str = "hotkey0", path: str = PATH) -> tuple[int, Any]:
    path = f"{path}{query}"
    answer = await ask(api, signed(path=path, by=by, nonce_ns=next(NONCES)), path=path)
    return answer.status, answer.json


async def test_it_counts_and_names_what_failed_in_full(api: Api) -> None:
    status, told = await diagnosis(api)
    assert status == 200
    assert (told["hotkey"], told["cycle_id"], told["uid"]) == (MINER, 1, 0)
    assert [told[name] for name in ("completed", "succeeded", "forfeited", "abandoned")] == [1, 1, 2, 1]
    assert {each["code"]: (each["count"], each["detail"]) for each in told["failures"]} == {
        facts.forfeited().code.value: (1, facts.forfeited().detail),
        "malformed": (1, "x" * 500),
        facts.abandoned().code.value: (1, facts.abandoned().detail),
    }


async def test_recordings_are_named_where_there_was_something_to_record(api: Api) -> None:
    _, told = await diagnosis(api)
    recorded = {each["code"]: each["recordings"] for each in told["failures"]}
    (episode,) = next(each["episodes"] for each in told["failures"] if each["code"] == "malformed")
    assert recorded["malformed"] == [f"/v1/episodes/{episode}/trace"]
    assert recorded[facts.abandoned().code.value] == []


async def test_latencies_are_those_of_episodes_in_which_it_was_called(api: Api) -> None:
    _, told = await diagnosis(api)
    assert told["latency"]["calls"] == facts.completed().latency.calls + 2 * facts.forfeited().latency.calls
    assert told["latency"]["max_ms"] == max(facts.completed().latency.max_ms, facts.forfeited().latency.max_ms)


async def test_the_last_word_of_discovery_is_told(api: Api) -> None:
    _, told = await diagnosis(api)
    expected = facts.commitment_rejected()
    assert told["discovery"]["kind"] == "commitment_rejected"
    assert (told["discovery"]["code"], told["discovery"]["detail"]) == (expected.code.value, expected.detail)


async def test_of_a_running_cycle_nothing_is_told(api: Api, read_side: Written) -> None:
    plan = facts.planned(2)
    roster = tuple(each.model_copy(update={"hotkey": MINER}) if each.uid == 0 else each for each in plan.roster)
    failed = facts.forfeited(EpisodeKey(CycleId(2), roster[0].uid, plan.environments[0], 0))
    await write(read_side.log, plan.model_copy(update={"roster": roster}), failed)
    await read_side.project()
    assert (await diagnosis(api))[1]["cycle_id"] == 1
    status, told = await diagnosis(api, "?cycle=2")
    assert (status, told["type"]) == (404, "urn:kinitro:problem:no-ended-cycle")


async def test_it_is_not_to_be_kept_by_caches(api: Api) -> None:
    answer = await ask(api, signed(nonce_ns=next(NONCES)))
    assert answer.headers["Cache-Control"] == "no-store"


async def checked(read_side: Written, *checks: VerificationOutcome) -> None:
    """The miner is planned into a cycle for each of these checks; none of the cycles has ended."""
    for number, check in enumerate(checks, 2):
        plan = facts.planned(number, uids=(0,), verification=facts.verification_terms())
        roster = (plan.roster[0].model_copy(update={"hotkey": MINER}),)
        ours = check.model_copy(update={"hotkey": MINER, "cycle": CycleId(number)})
        await write(read_side.log, plan.model_copy(update={"roster": roster}), ours)
    await read_side.project()


async def test_a_standing_failure_is_told_with_what_to_do(api: Api, read_side: Written) -> None:
    failed = facts.verification_failed()
    await checked(read_side, failed, facts.verification_inconclusive(), failed, facts.verification_inconclusive())
    _, told = await diagnosis(api)
    found = told["verification"]
    assert (found["cycle_id"], found["since_cycle"], found["on_failure"]) == (4, 2, "no_weight")
    assert (found["reason"], found["detail"], found["score"]) == ("actions_differ", failed.detail, 0.004)
    assert found["samples"] == "/v1/cycles/4/verifications/0"
    assert (await api.get(found["samples"])).json["hotkey"] == MINER
    assert "`kinitro verify user/policy-0 0123abcd ENDPOINT`" in found["remedy"]


async def test_the_remedy_names_what_is_committed_now(api: Api, read_side: Written) -> None:
    await checked(read_side, facts.verification_failed())
    await write(read_side.log, facts.commitment_changed(ordinal=3).model_copy(update={"hotkey": MINER}))
    await read_side.project()
    found = (await diagnosis(api))[1]["verification"]
    assert found["revision"] == "0123abcd"
    assert "`kinitro verify user/policy-0 4567cdef ENDPOINT`" in found["remedy"]


async def test_a_failure_that_a_later_check_has_ended_is_not_told(api: Api, read_side: Written) -> None:
    assert (await diagnosis(api))[1]["verification"] is None
    await checked(read_side, facts.verification_failed(), facts.verification_passed())
    assert (await diagnosis(api))[1]["verification"] is None
