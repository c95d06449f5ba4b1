"""What the read model of episodes was at a sequence, as rows."""

from __future__ import annotations

from projectors.cut import Cut
from projectors.episodes.tables import attempts, outcomes


async def cut_back(cut: Cut) -> None:
    await cut.keep(outcomes, attempts)
