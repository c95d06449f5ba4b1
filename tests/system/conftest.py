"""What is made once for all system tests: three policies, and the cycle that nobody disturbs."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from sim.experts import PolicyKind
from tests.system.backends import backend, kinitro, new_home
from tests.system.cycles import CYCLE_S, Result, Subnet, log_of, plan_and_seed, result_of, scored

MINERS = (PolicyKind.RANDOM, PolicyKind.NOISY, PolicyKind.EXPERT)
"""By uid, and in the order of their commitments."""


@pytest.fixture(scope="session")
def subnet() -> Iterator[Subnet]:
    """Three miners, whose policies are served as long as the tests run."""
    with new_home() as home, ExitStack() as stack:
        policies = [stack.enter_context(_Policy(kind, home)) for kind in MINERS]
        roster, key = home / "roster.toml", home / "master.key"
        roster.write_text("\n".join(_miner(uid, policy.url) for uid, policy in enumerate(policies)))
        key.touch(mode=0o600)
        key.write_text(secrets.token_hex(32))
        yield Subnet(roster, key, policies[-1].pid)


@pytest.fixture(scope="session")
def undisturbed(subnet: Subnet) -> Result:
    """What the cycle comes to when nothing goes wrong."""
    with new_home() as home:
        return asyncio.run(run_undisturbed(home, subnet))


async def run_undisturbed(home: Path, subnet: Subnet, **more: str) -> Result:
    """`more`: environment variables."""
    await plan_and_seed(home, subnet)
    async with backend(home, subnet, None, **more) as (running, _), log_of(home) as log:
        async with asyncio.timeout(CYCLE_S):
            await scored(log)
        result = await result_of(log)
        await running.stop()
        return result


class _Policy:
    """`kinitro policy serve` on a free port."""

    def __init__(self, kind: PolicyKind, home: Path) -> None:
        self._process = subprocess.Popen(
            kinitro("--home", str(home), "policy", "serve", kind, "--port", "0"),
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        self.url, self.pid = self._process.stdout.readline().split()[-1], self._process.pid
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=60)


def _miner(uid: int, url: str) -> str:
    return f"""[[miner]]
hotkey = "miner-{uid}"
uid = {uid}
endpoint = "{url}"
repo = "test/policy-{uid}"
revision = "1"
committed_block = {100 * (uid + 1)}
"""
