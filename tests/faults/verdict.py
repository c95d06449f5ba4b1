"""What must hold of a cycle that a fault has hit, beyond its result."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from consumers.audit.cycle.audit import conclude
from consumers.audit.cycle.fold import CycleFold
from consumers.audit.cycle.sources import LogSource
from consumers.audit.cycle.verdicts import CycleAudit
from events import subjects
from events.codec import decode
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeForfeited
from events.ids import CycleId, EnvId, EpisodeKey, Uid
from events.log import EventLog
from tests.faults.roles import Role
from tests.system.cycles import CYCLE

ENDINGS = {kind.type for kind in (EpisodeCompleted, EpisodeForfeited, EpisodeAbandoned)}


async def outcomes_told(workers: Iterable[Role], log: EventLog) -> int:
    """How many outcomes workers have logged as appended: each must be in the log, and be theirs.

    A worker logs an outcome after the log has acknowledged it: so nothing that was acknowledged is missing.
    """
    told = [(role.name, line) for role in workers for line in role.lines() if str(line.get("event")) in ENDINGS]
    for worker, line in told:
        key = EpisodeKey(
            CycleId(int(str(line["cycle"]))),
            Uid(int(str(line["uid"]))),
            EnvId(str(line["env"])),
            int(str(line["index"])),
        )
        stored = await log.last(subjects.outcome(key))
        assert stored is not None, f"{worker} was told that the outcome of {key.id} is stored, and it is not there"
        event = decode(stored).event
        assert event.type == line["event"], f"{worker} has appended {line['event']}, there is {event.type}"
    return len(told)


async def audited(log: EventLog, cycle: CycleId = CYCLE) -> CycleAudit:
    """The cycle's weights derived again from its events, as an outsider would."""
    source, fold = LogSource(log), CycleFold(cycle)
    async for batch in source.batches(cycle):
        fold.add(batch)
    verdicts = await asyncio.to_thread(lambda: tuple(conclude(fold, source.trailer, None)))
    return CycleAudit(cycle, fold.all.size, verdicts)
