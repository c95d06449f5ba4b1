"""A worker after many episodes is what it was before them. The long form is `python -m tests.bench.endurance`."""

from __future__ import annotations

import pytest

from tests.bench.endurance import SHARES, endure


@pytest.mark.slow
@pytest.mark.camera
def test_a_worker_does_not_grow() -> None:
    history = endure(80)
    warm, end = history[SHARES // 2 - 1], history[-1]
    assert end.memory_mib - warm.memory_mib < 16
    assert end.files <= warm.files
    assert end.threads <= warm.threads
    assert end.maps - warm.maps < 16
