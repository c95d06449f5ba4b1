"""What the cameras saw of an episode, drawn anew from its recording."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.dependencies import All
from api.http.caching import for_good
from api.problems import documented
from api.routes.episodes import recording

router = APIRouter(prefix="/v1/episodes", tags=["episodes"])

FILM, SHEET = "video/mp4", "image/png"
EpisodePath = Annotated[str, Path(max_length=200)]


@router.get(
    "/{episode_id}/film.mp4",
    responses={200: {"content": {FILM: {}}}, **documented(404, 409, 422, 503)},
    response_class=Response,
)
async def film(episode_id: EpisodePath, resources: All) -> Response:
    """The episode in real time. The first to ask waits for it: without a GPU, up to minutes for a long episode."""
    body = await recording(episode_id, resources.models, resources.log)
    drawn = await resources.films.film(episode_id, body, ".mp4")
    return _answer(drawn, FILM)


@router.get(
    "/{episode_id}/film.png",
    responses={200: {"content": {SHEET: {}}}, **documented(404, 409, 422, 503)},
    response_class=Response,
)
async def sheet(episode_id: EpisodePath, resources: All) -> Response:
    """Twelve pictures from the start to the end, on one sheet."""
    body = await recording(episode_id, resources.models, resources.log)
    drawn = await resources.films.film(episode_id, body, ".png")
    return _answer(drawn, SHEET)


def _answer(drawn: bytes, media_type: str) -> Response:
    """The same recording always gives the same."""
    answer = Response(drawn, media_type=media_type)
    for_good(answer)
    return answer
