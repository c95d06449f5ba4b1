"""The HTTP API: read models and the log in, JSON out. It writes no events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from starlette.types import ASGIApp, Scope

from api import openapi, problems
from api.dashboard import serving
from api.dependencies import Resources
from api.films import Films
from api.http.front import AtHand, Front
from api.http.rate_limits import RateLimits
from api.http.representations import Representations
from api.latest import LatestWeights
from api.live import live_episodes
from api.metrics import ApiMetrics
from api.replays import Replays
from api.routes import (
    cycles,
    diagnosis,
    documents,
    environments,
    episodes,
    events,
    evidence,
    explain,
    films,
    health,
    history,
    live,
    metrics,
    miners,
    rules,
    scores,
    status,
    stream,
    tallies,
    verifications,
    weights,
)
from api.settings import ApiSettings
from api.sources import LogWatch, ReadModels
from api.stream.service import streaming
from api.trees import SealedTrees
from events.envelope import Clock, utc_now


def assembled(settings: ApiSettings, *, clock: Clock = utc_now, stopping: asyncio.Event | None = None) -> ASGIApp:
    """The application as it is served: behind what is the same for all answers."""
    app = create_app(settings, clock=clock, stopping=stopping)
    limits = RateLimits(settings.requests_per_minute)

    def at_once(scope: Scope) -> AtHand | None:
        latest: LatestWeights = app.state.resources.latest  # there once it runs
        return latest.at_once(scope)

    return Front(Representations(app), limits, at_once)


def create_app(settings: ApiSettings, *, clock: Clock = utc_now, stopping: asyncio.Event | None = None) -> FastAPI:
    """The routes. It starts while the database or the log is away; `/health` says so, and it finds them later.

    `stopping` is set when the server is told to end: then streams end, for which it would wait otherwise.

    Raises:
        BadDatabaseUrl: when it starts; not a URL of PostgreSQL.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        models, log = ReadModels(settings), LogWatch(settings)
        latest = LatestWeights(models, lambda found: weights.WeightsAnswer.of(found).model_dump_json().encode())
        stops = asyncio.Event() if stopping is None else stopping
        app.state.resources = Resources(
            settings=settings,
            clock=clock,
            models=models,
            log=log,
            latest=latest,
            trees=SealedTrees(),
            replays=Replays(log.connected),
            films=Films(settings.nats_url, stops),
            stopping=stops,
        )
        live_readers, events_readers = (app.state.metrics.stream_readers.labels(it) for it in ("live", "events"))
        try:
            async with (
                live_episodes(log, live_readers, stops) as app.state.live,
                streaming(settings, log, stops) as app.state.streams,
            ):
                events_readers.set_function(lambda: len(app.state.streams.hub.readers))
                yield
        finally:
            await latest.close()
            await log.close()
            await models.close()

    app = FastAPI(
        title="kinitro",
        summary="Robot policies, evaluated in simulation: weights, scores, and every episode behind them.",
        version=_version(),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.metrics = ApiMetrics()
    topics = (
        health,
        metrics,
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
        tallies,
        episodes,
        films,
        live,
        verifications,
        events,
    )
    for topic in (*topics, evidence, documents):
        app.include_router(topic.router)
    app.include_router(serving.router())
    problems.install(app)
    openapi.describe(app)
    return app


def _version() -> str:
    try:
        return version("kinitro")
    except PackageNotFoundError:
        return "0"
