"""What the read model of results was at a sequence, as rows."""

from __future__ import annotations

from sqlalchemy import select

from projectors.cut import Cut
from projectors.weights.tables import results, standings, tallies


async def cut_back(cut: Cut) -> None:
    await cut.keep(results)
    there = select(results.c.cycle).where(results.c.sequence <= cut.sequence)
    for table in (standings, tallies):
        await cut.fill(table, select(table).where(table.c.cycle.in_(there)))
