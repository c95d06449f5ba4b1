"""`kinitro audit cycle` as a command against real servers: the log, an API, and what a plain HTTP GET fetched."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.scoring.handler import Scoring
from consumers.signing.handler import Signing
from events.connection import connect
from events.jetstream import JetStreamLog
from tests.cli.conftest import PROGRAM
from tests.consumers.audit.conftest import Evaluated
from tests.controls.keys import FIRST
from tests.eventually import eventually
from tests.fixtures.http import Api, patient_settings, serving_the_log
from tests.fixtures.projecting import project


class Ended(NamedTuple):
    """What a command came to."""

    status: int | None
    out: str
    err: str

    @property
    def checks(self) -> dict[str, Any]:
        return {check["name"]: check for check in json.loads(self.out)["checks"]}


@pytest.fixture
async def nats_url(evaluated: Evaluated) -> str:
    """Of a log in which cycle 1 is scored and signed, and cycle 2 has not ended."""
    async with await connect(evaluated.nats_url, "tests") as connection:
        log = JetStreamLog(connection)
        await Scoring(log).catch_up()
        await Signing(log, FIRST).catch_up()
    return evaluated.nats_url


@pytest.fixture
async def served_api(nats_url: str, database_url: str, engine: AsyncEngine) -> AsyncIterator[Api]:
    async with await connect(nats_url, "tests") as connection:
        await project(JetStreamLog(connection), engine, database_url)
    async with serving_the_log(patient_settings(database_url, nats_url)) as api:
        yield api


async def audited(*arguments: str | Path) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        "audit",
        "cycle",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Ended(process.returncode, out.decode(), err.decode())


async def fetched(api: Api, encoding: str) -> bytes:
    """The body of a plain GET, as it came over the wire."""
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(f"{api.base_url}/v1/cycles/1/events", headers={"Accept-Encoding": encoding}) as answer,
    ):
        return await answer.read()


async def test_a_cycle_is_identical_from_the_log_and_from_an_api(nats_url: str, served_api: Api) -> None:
    key = ("--key", FIRST.address, "--json")
    from_log, from_api = await asyncio.gather(
        audited("1", "--nats-url", nats_url, "--episodes", "0", *key),
        audited("1", "--api-url", served_api.base_url, "--episodes", "2", *key),
    )
    for ended in (from_log, from_api):
        assert (ended.status, ended.err) == (0, "")
        assert json.loads(ended.out)["verdict"] == "identical"
    assert from_log.checks["export"]["same"] is None
    assert from_api.checks["export"]["same"] is True
    assert "episodes" not in from_log.checks
    assert from_api.checks["episodes"]["same"] is True
    assert from_api.checks["episodes"]["detail"].startswith("2 drawn at random: 1.")


async def test_a_cycle_that_was_fetched_is_identical(served_api: Api, tmp_path: Path) -> None:
    plain, packed = await fetched(served_api, "identity"), await fetched(served_api, "gzip")
    assert gzip.decompress(packed) == plain
    for name, content in (("plain", plain), ("packed", packed)):
        (tmp_path / name).write_bytes(content)
    whole, unpacked = await asyncio.gather(
        *(audited("1", "--file", tmp_path / name, "--json") for name in ("plain", "packed"))
    )
    assert (whole.status, unpacked.status) == (0, 0)
    assert [each["detail"] for each in whole.checks.values()] == [each["detail"] for each in unpacked.checks.values()]


async def test_what_is_not_there_is_said(nats_url: str, served_api: Api) -> None:
    for ended, tells in zip(
        await asyncio.gather(
            audited("9", "--nats-url", nats_url),
            audited("9", "--api-url", served_api.base_url),
            audited("1", "--api-url", f"{served_api.base_url}/docs"),
            audited("2", "--api-url", served_api.base_url),
        ),
        (
            "there is nothing of cycle 9 here",
            "there is no cycle 9",
            "/docs/v1/cycles/1/events answered 404: ",
            "cycle 2 has not ended",
        ),
        strict=True,
    ):
        assert (ended.status, ended.out) == (2, "")
        assert tells in ended.err


async def test_ctrl_c_ends_a_second_run_without_a_traceback(nats_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *("audit", "cycle", "1", "--nats-url", nats_url, "--episodes", "all"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    await eventually(lambda: process.returncode is not None or _simulates(process.pid))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all processes of the command get it
    out, err = await process.communicate()
    assert (process.returncode, out.decode(), err.decode()) == (130, "", "")


def _simulates(pid: int) -> bool:
    """Whether a process has a child that simulates, or is about to."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return any(b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children)
