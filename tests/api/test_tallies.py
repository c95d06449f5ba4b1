"""How far a cycle is, as of one place in the log."""

from __future__ import annotations

from tests.controls import facts
from tests.fixtures.http import Api, Written
from tests.fixtures.projecting import write


async def test_each_outcome_counts_once_where_it_belongs(api: Api, read_side: Written) -> None:
    await write(
        read_side.log,
        facts.planned(),
        facts.seeded(),
        facts.completed(facts.key(index=0)),
        facts.completed(facts.key(index=1), success=False),
        facts.forfeited(facts.key(env=facts.PUSH, index=0)),
        facts.abandoned(facts.key(env=facts.PUSH, index=1)),
        facts.completed(facts.key(uid=1)),
    )
    await read_side.project()
    found = (await api.get("/v1/cycles/1/tallies")).json
    assert found["sequence"] == 7
    assert {(it.pop("uid"), it.pop("env")): it for it in found["tallies"]} == {
        (0, facts.REACH): {"completed": 2, "successful": 1, "forfeited": 0, "abandoned": 0},
        (0, facts.PUSH): {"completed": 0, "successful": 0, "forfeited": 1, "abandoned": 1},
        (1, facts.REACH): {"completed": 1, "successful": 1, "forfeited": 0, "abandoned": 0},
    }


async def test_the_past_is_counted_as_it_was(api: Api, read_side: Written) -> None:
    await write(
        read_side.log, facts.planned(), facts.completed(facts.key(index=0)), facts.completed(facts.key(index=1))
    )
    await read_side.project()
    found = (await api.get("/v1/cycles/1/tallies?at_seq=2")).json
    assert (found["sequence"], found["tallies"][0]["completed"]) == (2, 1)


async def test_an_unknown_cycle_has_none(api: Api, read_side: Written) -> None:
    await write(read_side.log, facts.planned())
    await read_side.project()
    assert await api.problem("/v1/cycles/2/tallies") == (404, "unknown-cycle")
