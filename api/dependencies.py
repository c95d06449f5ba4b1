"""What an application holds while it runs, and how its routes ask for it by type."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from api.films import Films
from api.latest import LatestWeights
from api.replays import Replays
from api.settings import ApiSettings
from api.sources import LogWatch, ReadModels
from api.trees import SealedTrees
from events.envelope import Clock


@dataclass(frozen=True, slots=True)
class Resources:
    """Opened when the application starts, closed when it ends."""

    settings: ApiSettings
    clock: Clock
    models: ReadModels
    log: LogWatch
    latest: LatestWeights
    trees: SealedTrees
    replays: Replays
    films: Films
    stopping: asyncio.Event
    """Set when the process is to end: who waits for something is answered at once."""


# Asynchronous although they wait for nothing: the framework would run plain functions in a thread.
async def _resources(request: Request) -> Resources:
    return cast("Resources", request.app.state.resources)


async def _models(request: Request) -> ReadModels:
    return (await _resources(request)).models


async def _log(request: Request) -> LogWatch:
    return (await _resources(request)).log


async def _latest(request: Request) -> LatestWeights:
    return (await _resources(request)).latest


async def _trees(request: Request) -> SealedTrees:
    return (await _resources(request)).trees


All = Annotated[Resources, Depends(_resources)]
Models = Annotated[ReadModels, Depends(_models)]
Log = Annotated[LogWatch, Depends(_log)]
Latest = Annotated[LatestWeights, Depends(_latest)]
Trees = Annotated[SealedTrees, Depends(_trees)]
