"""What is told of spot checks, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from events.event import Event
from tests.controls import facts
from tests.fixtures.http import Api, Written
from tests.fixtures.projecting import write

TERMS = facts.verification_terms(suspended={1: 1})
UIDS = (0, 1, 2, 3)


def cycle(number: int, *checks: Event) -> list[Event]:
    """One that runs, with these checks at its end."""
    return [facts.planned(number, uids=UIDS, verification=TERMS), facts.seeded(number), *checks]


@pytest.fixture
async def checked(read_side: Written) -> None:
    """One outcome of each kind, and a miner that was not drawn, in a cycle that has ended."""
    checks: list[Event] = [
        facts.verification_passed(1, 0),
        facts.verification_failed(1, 1),
        facts.verification_inconclusive(1, 2),
    ]
    await write(read_side.log, *map(facts.discovered, UIDS), *cycle(1, *checks), facts.sealed(1))
    await read_side.project()


@pytest.mark.usefixtures("checked")
async def test_a_cycle_tells_its_terms_and_every_outcome(api: Api) -> None:
    answer = (await api.get("/v1/cycles/1/verifications")).json
    assert (answer["cycle_id"], answer["ended"]) == (1, True)
    assert answer["terms"] == orjson.loads(TERMS.model_dump_json())
    assert [(it["uid"], it["hotkey"], it["outcome"]) for it in answer["verifications"]] == [
        (0, "hotkey-0", "passed"),
        (1, "hotkey-1", "failed"),
        (2, "hotkey-2", "inconclusive"),
    ]


@pytest.mark.usefixtures("checked")
async def test_an_outcome_says_in_brief_what_was_found(api: Api) -> None:
    passed, failed, inconclusive = (await api.get("/v1/cycles/1/verifications")).json["verifications"]
    names = ("reason", "method", "score", "commit")
    commit = [facts.committed_files(uid).commit for uid in (0, 1)]
    assert [passed[name] for name in names] == [None, "by_value", 1.0, commit[0]]
    assert [failed[name] for name in names] == ["actions_differ", "by_value", 0.004, commit[1]]
    assert [inconclusive[name] for name in names] == ["no_sandbox", None, None, None]
    assert (failed["repo"], failed["revision"]) == ("user/policy-1", "0123abcd")
    assert failed["detail"] == facts.verification_failed().detail


@pytest.mark.usefixtures("checked")
async def test_a_check_tells_every_action_of_both_sides(api: Api) -> None:
    answer = (await api.get("/v1/cycles/1/verifications/1")).json
    event = facts.verification_failed(1, 1)
    assert event.compared is not None
    assert event.committed is not None
    assert answer["compared"] == orjson.loads(event.compared.model_dump_json())
    assert answer["files"] == [it.model_dump() for it in event.committed.files]
    (sample,) = answer["compared"]["samples"]
    assert (sample["error"], sample["score"], sample["mismatch"]) == (0.25, 0.004, "beyond_tolerance")
    assert sample["served"] == [[0.1, 0.25, -0.75, 0.0, 0.0, 0.0, 1.0]]
    assert (answer["sandbox"], answer["verifier"], answer["duration_s"]) == ("namespaces", "verifier-1", 4.25)


@pytest.mark.usefixtures("checked")
async def test_where_nothing_was_fetched_or_run_there_is_nothing_to_tell_of_it(api: Api) -> None:
    answer = (await api.get("/v1/cycles/1/verifications/2")).json
    assert (answer["compared"], answer["files"], answer["sandbox"]) == (None, None, None)


async def test_a_cycle_without_checks_has_no_terms(api: Api, read_side: Written) -> None:
    await write(read_side.log, facts.planned())
    await read_side.project()
    answer = (await api.get("/v1/cycles/1/verifications")).json
    assert (answer["terms"], answer["verifications"]) == (None, [])
    assert "without spot checks" in (await api.get("/v1/cycles/1/verifications/0")).json["detail"]


async def test_while_a_cycle_runs_nobody_is_told_who_else_was_drawn(api: Api, read_side: Written) -> None:
    """A miner whose check has not ended, one that was drawn for its earlier failure, and one that was not drawn."""
    await write(read_side.log, *cycle(2, facts.verification_passed(2, 0)))
    await read_side.project()
    answer = (await api.get("/v1/cycles/2/verifications")).json
    assert (answer["ended"], [it["uid"] for it in answer["verifications"]]) == (False, [0])
    others = [await api.get(f"/v1/cycles/2/verifications/{uid}") for uid in (1, 2, 3)]
    told = {each.json["detail"].replace(f"uid {uid}", "uid N") for uid, each in zip((1, 2, 3), others, strict=True)}
    assert told == {"cycle 2 has no spot check of uid N so far, and may get none"}


@pytest.mark.usefixtures("checked")
async def test_once_a_cycle_has_ended_it_says_that_nobody_else_was_checked(api: Api) -> None:
    answer = await api.get("/v1/cycles/1/verifications/3")
    assert (answer.status, answer.json["type"]) == (404, "urn:kinitro:problem:no-verification")
    assert answer.json["detail"] == "no spot check of uid 3 was made in cycle 1"


@pytest.mark.parametrize("limit", [1, 2, 500])
async def test_a_miners_checks_are_told_once_the_newest_first(api: Api, read_side: Written, limit: int) -> None:
    kinds = (facts.verification_failed, facts.verification_inconclusive, facts.verification_passed)
    for number in range(1, 6):
        await write(read_side.log, *cycle(number, kinds[number % 3](number, 1), facts.verification_passed(number, 0)))
    await read_side.project()
    path, told = f"/v1/miners/hotkey-1/verifications?limit={limit}", list[tuple[int, str]]()
    cursor: str | None = ""
    while cursor is not None:
        page = (await api.get(f"{path}&cursor={cursor}" if cursor else path)).json
        told += [(it["cycle_id"], it["outcome"]) for it in page["verifications"]]
        cursor = page["next_cursor"]
    assert told == [(5, "passed"), (4, "inconclusive"), (3, "failed"), (2, "passed"), (1, "inconclusive")]


async def standing(api: Api, uid: int, query: str = "") -> dict[str, Any]:
    miners = (await api.get(f"/v1/miners{query}")).json["miners"]
    found: dict[str, Any] = miners[uid]["verification"]
    return found


async def test_a_miner_stands_as_its_latest_conclusive_check_found(api: Api, read_side: Written) -> None:
    await write(read_side.log, *map(facts.discovered, UIDS))
    checks: list[tuple[Callable[[int, int], Event], tuple[str, int | None, int | None]]] = [
        (facts.verification_inconclusive, ("never", None, None)),
        (facts.verification_passed, ("passed", 2, 2)),
        (facts.verification_failed, ("failed", 3, 3)),
        (facts.verification_inconclusive, ("failed", 3, 3)),
        (facts.verification_failed, ("failed", 5, 3)),
        (facts.verification_passed, ("passed", 6, 6)),
        (facts.verification_passed, ("passed", 7, 6)),
    ]
    ends = []
    for number, (kind, _) in enumerate(checks, 1):
        ends.append(await write(read_side.log, *cycle(number, kind(number, 1))))
    await read_side.project()
    for end, (_, expected) in zip(ends, checks, strict=True):
        told = await standing(api, 1, f"?at_seq={end}")
        assert (told["standing"], told["cycle_id"], told["since_cycle"]) == expected
    assert await standing(api, 1) == told
    assert (await standing(api, 0))["standing"] == "never"


@pytest.mark.usefixtures("checked")
async def test_a_miner_that_failed_is_told_why(api: Api) -> None:
    told = await standing(api, 1)
    assert (told["reason"], told["detail"]) == ("actions_differ", facts.verification_failed().detail)


@pytest.mark.usefixtures("checked")
async def test_the_miners_file_holds_its_checks(api: Api) -> None:
    (failed, *_) = (await api.get("/v1/miners/hotkey-1/history")).json["history"]
    assert (failed["kind"], failed["cycle_id"], failed["code"]) == ("verification_failed", 1, "actions_differ")
    assert (failed["repo"], failed["detail"]) == ("user/policy-1", facts.verification_failed().detail)


async def test_copies_are_told_as_they_were_found(api: Api, read_side: Written) -> None:
    await write(read_side.log, *cycle(1), facts.sealed(1))
    await read_side.project()
    assert (await api.get("/v1/cycles/1/copies")).json == {"cycle_id": 1, "copies": []}
    found = facts.copies_found(1)
    await write(read_side.log, found, facts.weights_computed(1))
    await read_side.project()
    assert (await api.get("/v1/cycles/1/copies")).json["copies"] == found.model_dump(mode="json")["copies"]


async def test_who_is_unverified_is_told_with_the_scores_and_in_its_file(api: Api, read_side: Written) -> None:
    weights = facts.weights_computed(1)
    suspended = weights.standings[0].model_copy(update={"unverified": True, "weight": "0"})
    weights = weights.model_copy(update={"standings": (suspended, weights.standings[1])})
    await write(read_side.log, facts.discovered(0), *cycle(1), facts.sealed(1), weights)
    await read_side.project()
    standings = (await api.get("/v1/scores/1")).json["standings"]
    assert [(it["moved"], it["unverified"]) for it in standings] == [(False, True), (False, False)]
    (told, *_) = (await api.get("/v1/miners/hotkey-0/history")).json["history"]
    assert (told["kind"], told["weight"], told["unverified"]) == ("weights_computed", "0", True)


async def test_no_endpoint_is_told(api: Api, read_side: Written) -> None:
    """The endpoints of these miners are committed in the clear: only what is about commitments tells them."""
    checks = [facts.verification_failed(1, 1), facts.verification_passed(1, 0), facts.verification_inconclusive(1, 2)]
    await write(read_side.log, *map(facts.discovered, UIDS), *cycle(1, *checks), facts.sealed(1))
    await write(read_side.log, facts.copies_found(1), facts.weights_computed(1))
    await read_side.project()
    paths = [f"/v1/cycles/1/verifications/{uid}" for uid in UIDS]
    paths += [f"/v1/miners/hotkey-{uid}/verifications" for uid in UIDS]
    for path in [*paths, "/v1/cycles/1/verifications", "/v1/cycles/1/copies"]:
        answer = await api.get(path)
        assert b"127.0.0.1" not in answer.body, path
        assert b"endpoint" not in answer.body, path


@pytest.mark.usefixtures("checked")
async def test_as_of_a_place_before_the_check_there_is_none(api: Api) -> None:
    first = (await api.get("/v1/cycles/1/verifications")).json["verifications"][0]["sequence"]
    before = (await api.get(f"/v1/cycles/1/verifications?at_seq={first - 1}")).json
    assert (before["ended"], before["verifications"]) == (False, [])
    assert (await api.get(f"/v1/cycles/1/verifications?at_seq={first}")).json["verifications"][0]["uid"] == 0
    assert await api.problem(f"/v1/cycles/1/verifications/0?at_seq={first - 1}") == (404, "no-verification")
    assert (await api.get(f"/v1/miners/hotkey-0/verifications?at_seq={first - 1}")).json["verifications"] == []
