"""The HTTP API: read models and the log in, JSON out. It writes no events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from api import problems
from api.dependencies import Resources
from api.latest import LatestWeights, LatestWeightsFirst
from api.replays import Replays
from api.routes import (
    cycles,
    diagnosis,
    environments,
    episodes,
    events,
    evidence,
    explain,
    health,
    history,
    miners,
    rules,
    scores,
    status,
    stream,
    verifications,
    weights,
)
from api.settings import ApiSettings
from api.sources import LogWatch, ReadModels
from api.stream.service import streaming
from api.trees import SealedTrees
from events.envelope import Clock, utc_now


def create_app(settings: ApiSettings, *, clock: Clock = utc_now, stopping: asyncio.Event | None = None) -> FastAPI:
    """The application. It starts while the database or the log is away; `/health` says so, and it finds them later.

    `stopping` is set when the server is told to end: then streams end, for which it would wait otherwise.

    Raises:
        BadDatabaseUrl: when it starts; not a URL of PostgreSQL.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        models, log = ReadModels(settings), LogWatch(settings)
        latest = LatestWeights(models, lambda found: weights.WeightsAnswer.of(found).model_dump_json().encode())
        app.state.resources = Resources(settings, clock, models, log, latest, SealedTrees(), Replays(log.connected))
        try:
            async with streaming(settings, log, stopping or asyncio.Event()) as app.state.streams:
                yield
        finally:
            await log.close()
            await models.close()

    app = FastAPI(
        title="kinitro",
        summary="Robot policies, evaluated in simulation: weights, scores, and every episode behind them.",
        version=_version(),
        lifespan=lifespan,
        redoc_url=None,
    )
    topics = (
        health,
        status,
        explain,
        rules,
        stream,
        weights,
        scores,
        miners,
        history,
        diagnosis,
        environments,
        cycles,
        episodes,
        verifications,
        events,
    )
    for topic in (*topics, evidence):
        app.include_router(topic.router)
    problems.install(app)
    app.add_middleware(LatestWeightsFirst, latest=lambda: app.state.resources.latest)
    return app


def _version() -> str:
    try:
        return version("kinitro")
    except PackageNotFoundError:
        return "0"
