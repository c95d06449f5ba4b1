"""Films that are drawn by a child process: what becomes of it when the server ends."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest

from api.films import Films
from api.problems import Problem
from tests.eventually import eventually

NATS = "nats://127.0.0.1:9"
"""Nobody answers there: the child waits until it is ended."""


async def test_the_end_of_the_process_waits_for_no_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stopping = asyncio.Event()
    films = Films(NATS, stopping)
    asked = asyncio.create_task(films.film("1.0.metaworld.push-v3.0", b"recording", ".png"))

    async def drawing() -> bool:
        return _left(tmp_path) > 0

    await eventually(drawing)
    stopping.set()
    with pytest.raises(Problem) as refused:
        await asked
    assert (refused.value.status, refused.value.kind) == (503, "server-stopping")
    assert _left(tmp_path) == 0


def _left(directory: Path) -> int:
    return len(list(directory.iterdir()))
