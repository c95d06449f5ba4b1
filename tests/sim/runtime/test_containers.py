"""What is left of containers whose engine went away. With an engine: `tests/system/test_containers.py`."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from sim.runtime import containers
from sim.runtime.containers import Run


async def test_who_gives_up_on_a_container_leaves_nobody_waiting_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "FORCE_S", 0.1)
    before = asyncio.all_tasks()
    run = Run(f"unix://{tmp_path}/no-engine.sock", "0123", "worker 1")
    assert not await run.stop(signal.SIGTERM, 0.1)
    assert asyncio.all_tasks() == before
