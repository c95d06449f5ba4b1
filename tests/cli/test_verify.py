"""`kinitro verify`: what a miner sees before the backend does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from consumers.verification.sandbox.namespaces import probe
from consumers.verification.sandbox.protocol import NoSandbox
from tests.cli.conftest import PROGRAM, Answer, Command
from tests.consumers.verification.deployed import Served, files_of, serving, write_perceptron
from tests.consumers.verification.hub import Hub, Revision, answering, commit_id
from tests.consumers.verification.leftovers import descendants
from tests.consumers.verification.policies import perceptron
from tests.eventually import eventually

COMMIT = commit_id("committed")
Verify = Callable[..., Awaitable[Answer]]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    if isinstance(found := await probe(), NoSandbox):
        pytest.skip(found.reason)
    async with serving(write_perceptron(tmp_path / "served", perceptron(1))) as served:
        yield served


@pytest.fixture
def verify(tmp_path: Path) -> Verify:
    async def run(*arguments: str | Path) -> Answer:
        cheap = ("--observation-profile", "state/1", "--environments", "metaworld/reach-v3", "--samples", "2")
        process = await asyncio.create_subprocess_exec(
            *(*PROGRAM, "verify", *map(str, arguments), "--allow-private-endpoints", *cheap),
            env=os.environ | {"KINITRO_HOME": str(tmp_path / "home"), "COLUMNS": "160"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 120)
        return Answer(process.returncode or 0, out.decode(), err.decode())

    return run


async def test_a_directory_that_is_what_is_served_passes(served: Served, verify: Verify, tmp_path: Path) -> None:
    answer = await verify(tmp_path / "served", "-", served.url)
    assert answer.status == 0, answer.err
    assert "passed: 2 actions are those of the committed code" in answer.out
    assert answer.out.count("metaworld/reach-v3") == 2
    assert "asking the committed code in the sandbox" in answer.err


async def test_an_altered_one_fails_with_the_error(served: Served, verify: Verify, tmp_path: Path) -> None:
    other = write_perceptron(tmp_path / "other", perceptron(1).with_altered_layer(2, 1.01))
    answer = await verify(other, "-", served.url, "--json")
    assert answer.status == 1
    said = json.loads(answer.out)
    assert (said["verdict"], said["reason"]) == ("failed", "actions_differ")
    assert [each["mismatch"] for each in said["compared"]["samples"]] == ["beyond_tolerance"] * 2


async def test_what_is_committed_is_fetched_from_the_hub(served: Served, verify: Verify, tmp_path: Path) -> None:
    async with Hub() as hub:
        hub.add("miner/policy", Revision(COMMIT, files_of(tmp_path / "served")))
        answer = await verify("miner/policy", COMMIT[:8], served.url, "--hf-endpoint", hub.url)
        missing = await verify("miner/other", COMMIT[:8], served.url, "--hf-endpoint", hub.url)
    assert answer.status == 0, answer.err
    assert COMMIT in answer.err
    assert missing.status == 1
    assert "failed (repository_refused): repository_missing" in missing.out


async def test_a_server_that_is_down_fails(served: Served, verify: Verify, tmp_path: Path) -> None:
    answer = await verify(tmp_path / "served", "-", "http://127.0.0.1:1")
    assert answer.status == 1
    assert "failed (endpoint_failed): unreachable" in answer.out


async def test_a_hub_in_trouble_leaves_it_open(served: Served, verify: Verify, tmp_path: Path) -> None:
    async with Hub() as hub:
        hub.add("miner/policy", Revision(COMMIT, files_of(tmp_path / "served")))
        hub.fault("/tree/", answering(302, Location="http://10.0.0.1:9/"))
        answer = await verify("miner/policy", COMMIT[:8], served.url, "--hf-endpoint", hub.url)
    assert answer.status == 2
    assert "inconclusive (hub_trouble): address_refused" in answer.out


async def test_ctrl_c_leaves_nothing(served: Served, tmp_path: Path) -> None:
    sleeping = tmp_path / "sleeping"
    sleeping.mkdir(mode=0o755)
    (sleeping / "policy.py").write_text("import time\ntime.sleep(600)\n")
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "verify", str(sleeping), "-", served.url, "--allow-private-endpoints", "--samples", "1"),
        *("--observation-profile", "state/1", "--environments", "metaworld/reach-v3"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    asked = b""
    assert process.stderr is not None
    while b"asking the committed code" not in asked:
        asked += await asyncio.wait_for(process.stderr.readline(), 60)
    await eventually(lambda: len(descendants(process.pid)) >= 3)  # launcher, init and the policy
    below = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 130
    assert not any(is_alive(pid) for pid in below)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere", "-", "http://x"), "nowhere: expected a directory with policy.py; `kinitro miner init`"),
        (("a/b", "01234567", "http://x", "--tolerance", "much"), "'much' is not a decimal number"),
        (("a/b", "01234567", "http://x", "--tolerance", "0"), "expected a number above 0 and at most 1, got 0"),
        (("a/b", "01234567", "http://x", "--tolerance", "nan"), "expected a number above 0 and at most 1, got nan"),
        (("a/b", "01234567", "http://x", "--docker-host", "ssh://x"), "--docker-host: expected unix:///PATH or tcp"),
        (("a/b", "01234567", "http://x", "--environments", "reach"), "did you mean metaworld/reach-v3"),
        (("a/b", "01234567", "http://x", "--environments", ","), "names none"),
        (("a/b", "01234567", "http://x", "--hf-endpoint", "hub"), "HF_ENDPOINT: expected a URL"),
    ],
)
def test_misuse_is_told_in_a_line(arguments: tuple[str, ...], said: str, command: Command) -> None:
    answer = command("verify", *arguments)
    assert answer.status == 2
    assert said in " ".join(answer.err.split())
