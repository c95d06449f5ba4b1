"""What the read model of miners was at a sequence, as rows.

Where each was registered and what it had committed to say the announcements; when it was last evaluated, the newest
of its episodes that had a result.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from projectors.cut import Cut
from projectors.episodes import queries as episodes
from projectors.episodes.tables import outcomes
from projectors.miners.tables import announcements, commitments, evaluations, registrations, rosters

COMMITTING = ("discovered", "commitment_changed", "commitment_rejected")
REGISTERING = (*COMMITTING, "departed")
"""The kinds of announcements that say where a miner is registered."""


async def cut_back(cut: Cut) -> None:
    await cut.keep(announcements, rosters)
    it = announcements.c
    registered = it.kind.not_in(("departed", "commitment_rejected")).label("registered")
    await cut.fill(
        registrations,
        _newest(cut, REGISTERING).with_only_columns(
            it.hotkey, it.uid, registered, it.block, it.time, it.sequence, it.code, it.detail
        ),
    )
    await cut.fill(
        commitments,
        _newest(cut, COMMITTING).with_only_columns(it.hotkey, it.repo, it.revision, it.endpoint, it.commitment_block),
    )
    await cut.write(evaluations, await _evaluations(cut))


def _newest(cut: Cut, kinds: tuple[str, ...]) -> Select[Any]:
    """The newest announcement of these kinds about each hotkey."""
    it = announcements.c
    query = select(announcements).ext(distinct_on(it.hotkey)).where(it.kind.in_(kinds), it.sequence <= cut.sequence)
    return query.order_by(it.hotkey, it.sequence.desc())


async def _evaluations(cut: Cut) -> list[dict[str, Any]]:
    newest = (
        select(func.max(outcomes.c.sequence))
        .join(rosters, (rosters.c.cycle == outcomes.c.cycle) & (rosters.c.uid == outcomes.c.uid))
        .where(outcomes.c.sequence <= cut.sequence, outcomes.c.success.is_not(None))
        .group_by(rosters.c.hotkey)
    )
    found = await cut.connection.execute(select(outcomes).where(outcomes.c.sequence.in_(newest)))
    events = [episodes.arrival(row) for row in found]
    return [{"hotkey": it.data["hotkey"], "last_evaluated": it.time, "last_cycle": it.data["cycle"]} for it in events]
