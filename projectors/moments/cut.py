"""What the read model of time was at a sequence, as rows."""

from __future__ import annotations

from projectors.cut import Cut
from projectors.moments.tables import seconds


async def cut_back(cut: Cut) -> None:
    await cut.keep(seconds)
