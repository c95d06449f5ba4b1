"""Fixtures live in `tests/fixtures/`, one file a server."""

from __future__ import annotations

import os

from hypothesis import settings

from sim.versions import PROCESS_ENVIRONMENT

os.environ.update(PROCESS_ENVIRONMENT)  # before anything loads NumPy: tests compare what other processes simulated

pytest_plugins = [
    "tests.fixtures.nats",
    "tests.fixtures.postgres",
    "tests.fixtures.http",
    "tests.fixtures.chain",
    "tests.fixtures.owned",
    "tests.fixtures.subnet",
]

# How long an example takes says nothing here: the machine may be busy, and pytest's own time-out ends what hangs.
settings.register_profile("kinitro", deadline=None)
settings.load_profile("kinitro")
