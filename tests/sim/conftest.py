"""Fixtures of the simulation tests: the real simulation thread, and policy servers on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from sim.experts import PolicyKind
from sim.http.server import PolicyServer
from sim.stage import SimulationThread


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[SimulationThread]:
    async with SimulationThread() as stage:
        yield stage


@pytest_asyncio.fixture
async def expert_server() -> AsyncIterator[PolicyServer]:
    async with PolicyServer(PolicyKind.EXPERT) as server:
        yield server
