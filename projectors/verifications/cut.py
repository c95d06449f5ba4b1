"""What the read model of spot checks was at a sequence, as rows."""

from __future__ import annotations

from projectors.cut import Cut
from projectors.verifications.tables import checks, copies


async def cut_back(cut: Cut) -> None:
    await cut.keep(checks, copies)
