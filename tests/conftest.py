"""Fixtures live in `tests/fixtures/`, one file a server."""

from __future__ import annotations

pytest_plugins = ["tests.fixtures.nats", "tests.fixtures.postgres", "tests.fixtures.http"]
