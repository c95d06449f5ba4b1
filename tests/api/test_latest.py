"""The weights endpoint answers from memory, and never with what is no longer in force."""

from __future__ import annotations

import asyncio
import time

import pytest

from api.latest import FRESH_S
from tests.controls import facts
from tests.eventually import eventually
from tests.fixtures.http import Api, Written
from tests.fixtures.projecting import write

PATH = "/v1/weights/latest"


@pytest.fixture
async def weighted(read_side: Written) -> None:
    await write(read_side.log, *facts.whole_cycle())
    await read_side.project()


async def fast(api: Api) -> None:
    """Makes the next request one that is answered without a look at the database."""
    assert (await api.get(PATH)).status == 200


@pytest.mark.usefixtures("weighted")
async def test_both_ways_give_the_same_bytes_and_headers(api: Api) -> None:
    looked, remembered = await api.get(PATH), await api.get(PATH)
    for answer in (looked, remembered):
        answer.headers.pop("Date")
    assert looked == remembered


@pytest.mark.parametrize("shape", ["{}", "W/{}", '"other", {}', "*"])
@pytest.mark.usefixtures("weighted")
async def test_a_client_that_knows_the_etag_gets_no_body(api: Api, shape: str) -> None:
    etag = (await api.get(PATH)).headers["ETag"]
    assert not etag.startswith("W/")
    again = await api.get(PATH, **{"If-None-Match": shape.format(etag)})
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)


@pytest.mark.usefixtures("weighted")
async def test_another_etag_gets_the_body(api: Api) -> None:
    assert (await api.get(PATH, **{"If-None-Match": '"other"'})).status == 200


@pytest.mark.usefixtures("weighted")
async def test_new_weights_are_served_within_the_bound(api: Api, read_side: Written) -> None:
    first = await api.get(PATH)
    await write(read_side.log, *facts.whole_cycle(2))
    await read_side.project()
    projected_at = old_asked_at = time.monotonic()

    async def is_new() -> bool:
        nonlocal old_asked_at
        asked_at = time.monotonic()
        if (await api.get(PATH)).json["cycle_id"] == 2:
            return True
        old_asked_at = asked_at
        return False

    await eventually(is_new)
    assert old_asked_at < projected_at + FRESH_S, "who asks later than that gets the new ones"
    assert (await api.get(PATH)).headers["ETag"] != first.headers["ETag"]


@pytest.mark.usefixtures("weighted")
async def test_many_requests_at_once_share_one_look_at_the_database(api: Api) -> None:
    answers = await asyncio.gather(*(api.get(PATH) for _ in range(100)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1


async def test_weights_that_come_later_end_the_404(api: Api, read_side: Written) -> None:
    assert await api.problem(PATH) == (404, "no-weights")
    await write(read_side.log, *facts.whole_cycle())
    await read_side.project()

    async def is_there() -> bool:
        return (await api.get(PATH)).status == 200

    await eventually(is_there)
