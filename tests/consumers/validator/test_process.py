"""`kinitro validate` as a process of its own: a wallet, an exit status, and how little it needs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import bittensor as bt
import pytest

from tests.chain.node import Node
from tests.chain.subnets import hotkey
from tests.consumers.validator.conftest import OURS, UID
from tests.controls.keys import FIRST, STRANGER
from tests.eventually import eventually
from tests.fixtures.http import Api

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "kinitro.py"
HEAVY = ("mujoco", "metaworld", "gymnasium", "sqlalchemy", "fastapi", "asyncpg", "faststream", "scipy", "torch")
RSS_MAX_KB = 200_000

RUN_AND_TELL = """
import atexit, json, re, sys
def tell():
    high = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())
    print(json.dumps({"modules": sorted(sys.modules), "peak_kb": int(high[1])}))
atexit.register(tell)
import kinitro
kinitro.main()
"""
"""The command, and at its end what was imported and how much memory it had at most."""


@dataclass
class Ended:
    status: int
    out: str
    err: str


class Home:
    """A machine's own: wallets, and what the validator remembers."""

    def __init__(self, home: Path, options: list[str]) -> None:
        self._home = home
        self._options = options

    async def start(self, *arguments: str, program: tuple[str, ...] = (str(PROGRAM),)) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *program,
            *("--home", str(self._home / "kinitro"), "validate", *self._options, *arguments),
            cwd=self._home,
            env={**os.environ, "HOME": str(self._home), "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str, program: tuple[str, ...] = (str(PROGRAM),)) -> Ended:
        process = await self.start(*arguments, program=program)
        out, err = await asyncio.wait_for(process.communicate(), timeout=90)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture
def home(tmp_path: Path, published: Api, node: Node) -> Home:
    wallet = bt.Wallet("validator", "first", str(tmp_path / ".bittensor" / "wallets"))
    wallet.hotkey_file.set_keypair(OURS, encrypt=False, overwrite=False)
    return Home(
        tmp_path,
        [
            *("--backend-url", published.base_url, "--netuid", "7", "--network", node.url),
            *("--wallet-name", "validator", "--hotkey-name", "first"),
        ],
    )


async def test_once_submits_and_ends_in_0_and_so_it_does_where_nothing_is_new(home: Home, node: Node) -> None:
    for said in ("cycle 1 is on the chain since block", "cycle 1 is on the chain since block"):
        ended = await home.run("--once", "--backend-key", FIRST.address)
        assert (ended.status, ended.out.startswith(said)) == (0, True), ended
    assert node.chain.world.weights == {UID: ((0, 65_535), (1, 1_201))}
    assert node.chain.world.account(str(OURS.ss58_address)).nonce == 1


async def test_every_check_is_named_with_verdict_and_time(home: Home) -> None:
    ended = await home.run("--once", "--dry-run", "--backend-key", FIRST.address)
    told = [json.loads(line) for line in ended.err.splitlines()]
    checks = {line["event"]: line for line in told if line["event"].startswith("check ")}
    assert [name.removeprefix("check ") for name in checks] == [
        *("statement", "export", "events", "plan", "root", "signature"),
        *("scores", "frontier", "points", "weights", "u16", "answer", "age", "uids"),
    ]
    assert {line["verdict"] for line in checks.values()} == {"passed"}
    assert all(line["seconds"] >= 0 for line in checks.values())


async def test_episodes_without_a_recording_are_named_and_not_judged(home: Home) -> None:
    ended = await home.run("--once", "--episodes", "2", "--backend-key", FIRST.address)
    told = [json.loads(line) for line in ended.err.splitlines()]
    (check,) = [line for line in told if line["event"] == "check episodes"]
    assert (ended.status, check["verdict"]) == (0, "not judged"), ended
    assert check["detail"] == "none of 2 has a recording any more"


async def test_once_ends_in_1_where_a_check_fails(home: Home, node: Node) -> None:
    node.chain.register(hotkey(5), uid=0)
    node.chain.advance()
    ended = await home.run("--once", "--backend-key", FIRST.address)
    assert (ended.status, ended.out.startswith("uids: uid 0: expected")) == (1, True), ended


async def test_a_key_has_to_be_pinned(home: Home) -> None:
    ended = await home.run("--once")
    assert (ended.status, "GET /v1/identity" in ended.err) == (2, True)
    ended = await home.run("--once", "--backend-key", "nonsense")
    assert (ended.status, "is no SS58 address" in ended.err) == (2, True)
    ended = await home.run("--once", "--backend-key", STRANGER.address)
    assert (ended.status, "is none of the backend's keys" in ended.out) == (1, True)


async def test_a_wallet_that_is_not_there_is_named(home: Home) -> None:
    ended = await home.run("--once", "--backend-key", FIRST.address, "--hotkey-name", "second")
    assert (ended.status, "hotkey second of wallet validator" in ended.err) == (2, True), ended


async def test_it_is_light(home: Home) -> None:
    ended = await home.run("--once", "--backend-key", FIRST.address, program=("-c", RUN_AND_TELL))
    assert ended.status == 0, ended
    told = json.loads(ended.out.splitlines()[-1])
    assert {name.partition(".")[0] for name in told["modules"]} & {*HEAVY} == set()
    print(f"peak of the whole run: {told['peak_kb']} kB")
    assert told["peak_kb"] < RSS_MAX_KB


async def test_it_follows_until_it_is_told_to_end(home: Home, node: Node) -> None:
    process = await home.start("--backend-key", FIRST.address)
    try:
        await eventually(lambda: bool(node.chain.world.weights))
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), timeout=30)
    assert process.returncode == 0
