"""A miner's file holds every decision about its hotkey, once, however it is paged through."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.controls import facts
from tests.controls.random_logs import random_log
from tests.fixtures.http import Api, Written
from tests.fixtures.projecting import write


async def paged(api: Api, hotkey: str, limit: int) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    path = f"/v1/miners/{hotkey}/history?limit={limit}"
    page = (await api.get(path)).json
    entries += page["history"]
    while page["next_cursor"]:
        page = (await api.get(f"{path}&cursor={page['next_cursor']}")).json
        entries += page["history"]
    return entries


def names(document: dict[str, Any], hotkey: str, cycles: set[int]) -> bool:
    """Whether an event decides something about the miner that was planned into these cycles."""
    kind, data = document["type"].removeprefix("kinitro."), document["data"]
    if kind == "cycle.planned":
        return any(entry["hotkey"] == hotkey for entry in data["roster"])
    if kind.startswith("weights."):
        return data["cycle"] in cycles
    return bool(data.get("hotkey") == hotkey) and kind != "episode.attempt_failed"


@pytest.mark.parametrize("limit", [1, 7, 500])
async def test_every_decision_is_told_once_the_newest_first(api: Api, read_side: Written, limit: int) -> None:
    events = random_log(7)
    await read_side.log.append(events)
    await read_side.project()
    documents = [orjson.loads(event.body) for event in events]
    for uid in range(3):
        hotkey = str(facts.hotkey(uid))
        plans = [it["data"] for it in documents if it["type"] == "kinitro.cycle.planned"]
        cycles = {plan["cycle"] for plan in plans if any(entry["hotkey"] == hotkey for entry in plan["roster"])}
        expected = [place for place, it in enumerate(documents, 1) if names(it, hotkey, cycles)]
        assert [it["sequence"] for it in await paged(api, hotkey, limit)] == expected[::-1]


async def test_entries_say_what_was_decided(api: Api, read_side: Written) -> None:
    episode = facts.key(uid=1)
    await write(read_side.log, facts.discovered(1), facts.planned(), facts.forfeited(episode), facts.sealed())
    await write(read_side.log, facts.weights_computed(), facts.departed(1))
    await read_side.project()
    departed, weights, outcome, planned, discovered = (await api.get("/v1/miners/hotkey-1/history")).json["history"]
    assert (departed["kind"], departed["repo"]) == ("departed", None)
    assert (weights["kind"], weights["cycle_id"], weights["weight"], weights["points"]) == (
        "weights_computed",
        1,
        "0.1",
        "0",
    )
    assert (outcome["kind"], outcome["code"], outcome["success"]) == ("forfeited", "deadline_missed", False)
    assert outcome["episode_id"] == episode.id
    assert (planned["kind"], planned["cycle_id"], planned["block"]) == ("planned", 1, 50)
    assert (discovered["kind"], discovered["repo"]) == ("discovered", "user/policy-1")


async def test_a_rejected_commitment_says_why(api: Api, read_side: Written) -> None:
    event = facts.commitment_rejected(0)
    await write(read_side.log, facts.discovered(0), event)
    await read_side.project()
    rejected, _ = (await api.get("/v1/miners/hotkey-0/history")).json["history"]
    assert (rejected["kind"], rejected["code"], rejected["detail"]) == (
        "commitment_rejected",
        "malformed",
        event.detail,
    )
    assert (rejected["repo"], rejected["commitment_block"], rejected["block"]) == (None, 35, 35)


async def test_a_page_stays_what_it_is_when_more_happens(api: Api, read_side: Written) -> None:
    await write(read_side.log, facts.discovered(0), *facts.whole_cycle())
    await read_side.project()
    path = "/v1/miners/hotkey-0/history?limit=3"
    cursor = (await api.get(path)).json["next_cursor"]
    before = await api.get(f"{path}&cursor={cursor}")
    await write(read_side.log, facts.commitment_changed(0), *facts.whole_cycle(2))
    await read_side.project()
    assert (await api.get(f"{path}&cursor={cursor}")).body == before.body


async def test_a_hotkey_that_nothing_names_is_unknown(api: Api) -> None:
    assert await api.problem("/v1/miners/hotkey-9/history") == (404, "unknown-miner")
