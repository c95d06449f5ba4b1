"""Whatever is asked, the answer is documented: schemathesis against a real API on a log with a cycle.

`KINITRO_TESTS_LONG=1` asks twelve times as much.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from api.openapi import EXAMPLES, JSON, operations
from events.export import check, read
from events.jetstream import JetStreamLog
from events.mirror import bring_in
from tests.fixtures.http import Api, Written

LONG = os.environ.get("KINITRO_TESTS_LONG") == "1"
HISTORY = Path(__file__).parents[1] / "histories" / "cycles" / "announced-rules.ndjson"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "negative_data_rejection",
    "allow_header_conformance",
    "missing_required_header",
)
ASKED: dict[str, str | int] = {
    "block": 50,
    "cycle_id": 1,
    "episode_id": "1.2.metaworld.push-v3.1",
    "hotkey": "hotkey-2",
    "limit": 1,
    "other": "hotkey-0",
    "sequence": 17,
    "since": 1,
}
"""What the examples ask for, by parameter."""

NO_EXAMPLE = ("/v1/miners/{hotkey}/diagnosis", "/v1/cycles/{cycle_id}/verifications/{uid}")
"""The first is its owner's alone, and in the recorded cycle nobody was checked."""

ENDLESS = "/(stream|live)$"
"""Streams have tests of their own."""


@pytest.fixture
async def on_history(event_log: JetStreamLog, read_side: Written, api: Api) -> Api:
    """On a recorded log, whose answers are the same for ever."""
    lines = HISTORY.read_bytes().splitlines(keepends=True)
    await bring_in(event_log, read(lines), check(lines))
    await read_side.project()
    return api


@pytest.mark.slow
async def test_every_answer_is_documented(on_history: Api, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{on_history.base_url}/openapi.json"),
        *("--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"),
        *("--max-examples", "250" if LONG else "20", "--request-timeout", "30", "--continue-on-failure"),
        *("--exclude-path-regex", ENDLESS, "--generation-database", "none", "--no-color"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()[-20_000:]


async def test_examples_are_what_is_answered(on_history: Api) -> None:
    described = (await on_history.get("/openapi.json")).json
    examples = orjson.loads(EXAMPLES.read_bytes())
    found = {path: await _example(on_history, path, it.get("parameters", ())) for path, it in with_answers(described)}
    if os.environ.get("KINITRO_TESTS_WRITE_EXAMPLES") == "1":
        EXAMPLES.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
        examples = found
    assert found == examples, "write api/examples.json anew: run this test with KINITRO_TESTS_WRITE_EXAMPLES=1"


def with_answers(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Paths that answer with JSON to anybody, and their operations."""
    for path, operation in operations(described):
        if JSON in operation["responses"]["200"].get("content", {}) and path not in NO_EXAMPLE:
            yield path, operation


async def _example(api: Api, path: str, parameters: Iterable[dict[str, Any]]) -> dict[str, Any]:
    names = {it["name"] for it in parameters if it["required"] or it["name"] == "limit"}
    given = {name: ASKED[name] for name in sorted(names)}
    query = {name: value for name, value in given.items() if f"{{{name}}}" not in path}
    answer = await api.get(f"{path.format(**given)}?{urlencode(query)}")
    assert answer.status == 200, (path, answer)
    return {"parameters": given, "answer": answer.json}
