"""Episodes while they run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, cast

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.dependencies import All, Resources
from api.live import LiveEpisodes
from api.live_stream import MEDIA_TYPE, LiveStream, comment, event
from api.problems import documented, log_unavailable, not_found
from api.routes.episodes import episode_key
from events.ids import EpisodeKey
from events.log import LogUnavailable
from projectors.cycles import queries as cycles

router = APIRouter(prefix="/v1/episodes", tags=["episodes"])

HEARTBEAT_S = 10.0
STREAM = {
    "description": "Server-sent events: `step`, at most about ten a second, some of them lost where you are slow; and"
    " `end`, when the outcome is in the log. Rewards and pictures are there only where the operator allows them.",
    "content": {MEDIA_TYPE: {}},
}


@router.get("/{episode_id}/live", responses={200: STREAM, **documented(404, 422, 503)}, response_class=Response)
async def live(
    episode_id: Annotated[str, Path(max_length=200)],
    request: Request,
    resources: All,
    frames: Annotated[bool, Query(description="ask for what a camera sees, twice a second")] = False,
) -> LiveStream:
    """One episode while it runs. Nothing of this is kept; what counts is the outcome."""
    key = episode_key(episode_id)
    await _check_planned(resources, key)
    episodes = cast("LiveEpisodes", request.app.state.live)
    try:
        episodes.check_room()
    except LogUnavailable as error:
        raise log_unavailable(resources.settings.log_timeout_s) from error
    return LiveStream(_told(episodes, key, with_frames=frames))


async def _told(episodes: LiveEpisodes, key: EpisodeKey, *, with_frames: bool) -> AsyncIterator[bytes]:
    async with episodes.reading(key, with_frames=with_frames) as reader:
        yield comment("steps come while a worker runs the episode")
        while not reader.is_over:
            step = await reader.next(HEARTBEAT_S)
            if step is not None:
                yield event("step", step)
            elif not reader.is_over:
                yield comment("")
        if reader.has_outcome:
            yield event("end", b'{"episode":"/v1/episodes/%b"}' % key.id.encode())


async def _check_planned(resources: Resources, key: EpisodeKey) -> None:
    async def hotkey(connection: AsyncConnection) -> str | None:
        return await cycles.planned_hotkey(connection, key)

    if await resources.models.ask(hotkey) is None:
        raise not_found("unknown-episode", f"no plan holds an episode {key.id}")
