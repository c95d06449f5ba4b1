"""What the API says of a cycle that has ended."""

from __future__ import annotations

import aiohttp

from events import subjects
from events.codec import decode_as
from events.log import EventLog
from events.weights import WeightsComputed
from tests.eventually import eventually
from tests.fixtures.http import Api
from tests.system.cycles import CYCLE, OUTCOMES, all_events

PAGE = 7
"""Fewer than there are episodes, so that there are several pages."""

PROJECTED_S = 60.0


async def assert_served(api: Api, log: EventLog) -> None:
    """Waits until the API is up to the log; then it must show the log's weights and all of its episodes."""
    await projected(api, await log.last_sequence())
    await assert_shown(api, log)


async def assert_shown(api: Api, log: EventLog) -> None:
    """As `assert_served`, where the read models that this concerns are known to be up to the log."""
    stored = await log.last(subjects.weights(CYCLE))
    assert stored is not None
    event = decode_as(WeightsComputed, stored).event
    answer = (await api.get("/v1/weights/latest")).json
    assert answer["weights_u16"] == event.weights_u16.model_dump(mode="json")
    assert answer["metadata"]["weights_exact"] == {str(it.uid): it.weight for it in event.standings}
    ended = {it.event.key.id for it in await all_events(log) if isinstance(it.event, OUTCOMES)}
    assert set(await episode_ids(api)) == ended


async def projected(api: Api, least: int = 0) -> None:
    """Returns once the API is there and every read model behind it is up to the end of the log, and this far."""

    async def is_up_to_date() -> bool:
        try:
            answer = await api.get("/health")
        except (aiohttp.ClientError, TimeoutError):
            return False
        positions = answer.json["projections"].values()
        return answer.json["status"] == "healthy" and all(
            it["lag"] == 0 and it["sequence"] >= least for it in positions
        )

    await eventually(is_up_to_date, PROJECTED_S)


async def episode_ids(api: Api) -> list[str]:
    """Of all episodes of the cycle, page by page."""
    found: list[str] = []
    path = first = f"/v1/cycles/{CYCLE}/episodes?limit={PAGE}"
    while path:
        page = (await api.get(path)).json
        found += [episode["id"] for episode in page["episodes"]]
        path = f"{first}&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    return found


async def everything(api: Api) -> dict[str, bytes]:
    """The body of every answer that no clock goes into, by path."""
    weights = (await api.get("/v1/weights/latest")).json
    episodes = await episode_ids(api)
    paths = [
        "/v1/weights/latest",
        f"/v1/weights/{weights['block']}",
        "/v1/scores/latest",
        f"/v1/scores/{CYCLE}",
        "/v1/miners",
        "/v1/environments",
        "/v1/cycles",
        f"/v1/cycles/{CYCLE}",
        *(f"/v1/cycles/{CYCLE}/episodes?limit={PAGE}&cursor={each}" for each in episodes[::PAGE]),
        f"/v1/cycles/{CYCLE}/episodes",
        *(f"/v1/episodes/{each}" for each in episodes),
    ]
    answers = {path: await api.get(path) for path in paths}
    assert {path: answer.status for path, answer in answers.items()} == dict.fromkeys(paths, 200)
    return {path: answer.body for path, answer in answers.items()}
