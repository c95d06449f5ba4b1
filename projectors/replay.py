"""Building read models beside the live ones from any place of the log, and putting them in their place.

    copy what is kept -> project up to where the live ones stand -> compare -> project to the end -> swap

Until a model is swapped, readers see the old rows, and a projector goes on writing them. Whatever ends this before,
the live tables stay as they were, and what was begun is dropped: at once, or when somebody builds next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from events.log import EventLog
from projectors import schemas
from projectors.beginning import anew, from_nothing, from_the_past
from projectors.bulk import Bulk, Folders
from projectors.checkpoint import CannotReplay, Checkpoint, Fenced, LogReplaced, ProjectionFailed, verify
from projectors.compare import Comparison, NotCompared, compare
from projectors.passes import catch_up
from projectors.projector import Projection, Projector

COPIES_MAX = 5
"""How often to copy again when live tables were swapped meanwhile."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One read model, built anew and in place."""

    name: str
    kept: int
    """The sequence up to which rows were copied; 0: none were."""
    end: int
    """The sequence at which it stood when it was put in place."""
    seconds: float
    comparison: Comparison
    """With what was live before."""


class Replay:
    """A replay of some read models. `run` does it, once; the attributes say how far it is.

    Args:
        kept: Keep what the live tables knew at this sequence, and project what came after it; 0 projects all.
        other_log: Replace even read models that were made from another log than this.
        folders: Processes that may project a large log from its beginning; None: this one does it alone.
    """

    def __init__(
        self,
        log: EventLog,
        engine: AsyncEngine,
        projections: Sequence[Projection],
        *,
        kept: int = 0,
        other_log: bool = False,
        folders: Folders | None = None,
    ) -> None:
        self._log = log
        self._engine = engine
        self._projections = projections
        self.kept = kept
        self._other_log = other_log
        self._projectors: list[Projector] = []
        self._started = time.monotonic()
        self._reasons: dict[Projection, str] = {}
        """Why there is nothing to compare with."""
        self._never = asyncio.Event()
        self._bulk = None if folders is None else Bulk(log, folders)
        self.stage = "starting"
        self.end = 0
        """Where the log ended when this was last looked up."""

    @property
    def position(self) -> int:
        """The sequence that all models being built have seen."""
        seen = min((projector.checkpoint.sequence for projector in self._projectors), default=self.kept)
        return max(seen, self._bulk.position if self._bulk else 0)

    async def run(self) -> list[Replayed]:
        """Rebuilds them all and puts them in place, one after the other.

        Raises:
            CannotReplay: not from there, or somebody else is building; the message says what can be done.
            LogReplaced: the live tables were made from another log.
            ProjectionFailed: an event cannot be projected.
        """
        if self.kept < 0:
            raise CannotReplay(f"there is no sequence {self.kept}: the first event has sequence 1")
        async with AsyncExitStack() as stack:
            for projection in self._projections:
                if not await stack.enter_async_context(schemas.building(self._engine, projection)):
                    raise CannotReplay(f"another process is building {projection.name}: try again when it is done")
            stack.push_async_callback(self._clear_away)
            return await self._run()

    async def _run(self) -> list[Replayed]:
        self.end = await self._log.last_sequence()
        for projection in self._projections:
            await self._look_at(projection)
        self.stage = "copying"
        for projection in self._projections:
            self._projectors.append(await self._begin(projection))
        await self._project_in_bulk()
        compared = await self._compare([it for it in self._projectors if it.projection not in self._reasons])
        self.stage = "projecting"
        await self._project(self._projectors)
        self.stage = "putting in place"
        return [await self._put_in_place(it, compared) for it in self._projectors]

    async def _look_at(self, projection: Projection) -> None:
        """Finds out whether there are live tables to compare with.

        Raises:
            LogReplaced: they were made from another log, and that was not expected.
        """
        async with self._engine.connect() as connection:
            live = await schemas.live_checkpoint(connection, projection)
        if live is None:
            self._reasons[projection] = "there were no tables"
        elif not await self._is_of_this_log(projection, live):
            self._reasons[projection] = "what was live was made from another log"
        elif live.version != projection.version:
            self._reasons[projection] = f"what was live had version {live.version}, not {projection.version}"

    async def _is_of_this_log(self, projection: Projection, live: Checkpoint) -> bool:
        try:
            await verify(self._log, projection.name, live)
        except LogReplaced:
            if not self._other_log:
                raise
            return False
        return True

    async def _begin(self, projection: Projection) -> Projector:
        if self.kept == 0:
            return await from_nothing(self._log, self._engine, projection)
        for _ in range(COPIES_MAX - 1):
            try:
                return await from_the_past(self._log, self._engine, projection, self.kept)
            except Fenced:
                continue
        return await from_the_past(self._log, self._engine, projection, self.kept)

    async def _project_in_bulk(self) -> None:
        """As far as it can go by several processes: where there is something to compare with, not beyond that."""
        if self._bulk is None or self.kept:
            return
        self.stage = "projecting"
        async with self._engine.connect() as connection:
            live = await schemas.positions(connection, [it for it in self._projections if it not in self._reasons])
        targets = {it: live.get(it.projection, self.end) for it in self._projectors}
        await self._bulk.build(targets, self._never)
        for projector in self._projectors:
            if projector.checkpoint.sequence == 0:
                await anew(self._engine, projector)

    async def _compare(self, projectors: Sequence[Projector]) -> dict[Projection, Comparison]:
        """Projects to exactly where the live tables stand, and says whether both hold the same rows there.

        A projector goes on writing the live tables: what they are compared with is a snapshot.
        """
        projections = [it.projection for it in projectors]
        self.stage = "projecting"
        async with self._engine.connect() as connection:
            await self._project_to(await schemas.positions(connection, projections), projectors)
        async with schemas.snapshot(self._engine) as live, self._engine.connect() as beside:
            generations = await schemas.generations(live, projections)
            positions = await schemas.positions(live, projections)
            await self._project_to(positions, projectors)
            self.stage = "comparing"
            found = {it.projection: await compare(live, beside, it, positions[it.projection]) for it in projectors}
            async with self._engine.connect() as now:
                if await schemas.generations(now, projections) != generations:
                    return dict.fromkeys(projections, NotCompared("what was live was swapped in the meantime"))
        return found

    async def _project_to(self, positions: Mapping[Projection, int], projectors: Sequence[Projector]) -> None:
        for last in sorted(set(positions.values())):
            await self._project([it for it in projectors if positions[it.projection] >= last], last)

    async def _project(self, projectors: Sequence[Projector], last: int | None = None) -> None:
        await catch_up(self._log, projectors, self._never, last=last)
        for projector in projectors:
            if projector.stopped:
                raise ProjectionFailed(
                    f"{projector.failure()}; no model was replaced from here on: upgrade this program, or name the"
                    " other models"
                )

    async def _put_in_place(self, projector: Projector, compared: Mapping[Projection, Comparison]) -> Replayed:
        projection = projector.projection
        while True:
            self.end = await self._log.last_sequence()
            if await schemas.swap(self._engine, projection, projector.checkpoint, log_last_sequence=self.end):
                break
            await self._project([projector])
        return Replayed(
            name=projection.name,
            kept=self.kept,
            end=projector.checkpoint.sequence,
            seconds=time.monotonic() - self._started,
            comparison=compared.get(projection) or NotCompared(self._reasons[projection]),
        )

    async def _clear_away(self) -> None:
        for projection in self._projections:
            async with self._engine.begin() as connection:
                await schemas.drop(connection, schemas.next_of(projection))
