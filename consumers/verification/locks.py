"""Waiting for locks between processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from consumers.verification.trouble import HubTrouble, Trouble
from events.patience import Patience
from sim.runtime.locks import tried


@asynccontextmanager
async def held(path: Path, *, shared: bool = False, limit_s: float) -> AsyncIterator[None]:
    """Waits for the lock and holds it while inside.

    Raises:
        HubTrouble: somebody else held it all the time.
    """
    patience = Patience(limit_s)
    while True:
        with tried(path, shared=shared) as got:
            if got:
                yield
                return
        if not await patience.pause():
            raise HubTrouble(Trouble.TOO_SLOW, f"somebody else has been fetching the same for {limit_s:.0f} s")
