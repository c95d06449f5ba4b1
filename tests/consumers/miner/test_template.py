"""The template runs as it is written, and passes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consumers.miner.template_files import FILES, NotEmpty, write_template
from consumers.verification.sandbox.namespaces import probe
from consumers.verification.sandbox.protocol import NoSandbox
from tests.eventually import eventually
from tests.fixtures.ports import free_port

ROOT = Path(__file__).parents[3]


@contextmanager
def serving(directory: Path, port: int) -> Iterator[str]:
    command = [sys.executable, "server.py", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.camera
async def test_the_template_passes_every_check(tmp_path: Path) -> None:
    write_template(tmp_path / "policy")
    with serving(tmp_path / "policy", free_port()) as url:
        await eventually(lambda: is_up(url), timeout_s=60)
        ample = ("--action-timeout-ms", "20000", "--reset-timeout-ms", "20000", "--max-timesteps", "20")
        command = ("miner", "verify-endpoint", url, "--allow-private-endpoints", "--json", *ample)
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "kinitro.py"), *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), 120)

    assert process.returncode == 0, err
    report = json.loads(out)
    assert report["ok"]
    assert {each["name"]: each["verdict"] for each in report["checks"]} == dict.fromkeys(
        [each["name"] for each in report["checks"]], "ok"
    )


@pytest.mark.camera
async def test_the_template_is_a_repository_that_can_be_committed_and_is_what_it_serves(tmp_path: Path) -> None:
    if isinstance(found := await probe(), NoSandbox):
        pytest.skip(found.reason)
    directory = tmp_path / "policy"
    write_template(directory)
    with serving(directory, free_port()) as url:
        await eventually(lambda: is_up(url), timeout_s=60)
        command = ("verify", str(directory), "-", url, "--allow-private-endpoints", "--json", "--samples", "2")
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "kinitro.py"), *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), 120)

    assert process.returncode == 0, (out, err)
    report = json.loads(out)
    assert report["verdict"] == "passed"
    assert report["compared"]["seeded"]
    assert {each["error"] for each in report["compared"]["samples"]} == {0.0}


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "policy.py").write_text("mine")
    with pytest.raises(NotEmpty, match=r"policy\.py among them"):
        write_template(tmp_path)
    assert (tmp_path / "policy.py").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotEmpty, match="is a file"):
        write_template(tmp_path / "file")


def test_every_file_of_the_template_is_written(tmp_path: Path) -> None:
    write_template(tmp_path / "a" / "b")
    template = {path.name for path in (ROOT / "consumers/miner/template").iterdir() if path.name != "__pycache__"}
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == template == set(FILES)
