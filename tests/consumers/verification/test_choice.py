"""Docker where it works, else the kernel sandbox, else none and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.verification.sandbox.choice import choose_sandbox
from consumers.verification.sandbox.docker import DockerSandbox
from consumers.verification.sandbox.namespaces import Namespaces, probe
from consumers.verification.sandbox.protocol import NoSandbox
from tests.consumers.verification.conftest import Docker
from tests.consumers.verification.test_endings import line_of, program

NEITHER = """
import asyncio, os
from consumers.verification.sandbox import kernel, seccomp
from consumers.verification.sandbox.choice import choose_sandbox

kernel.renounce_capabilities()
kernel.filter_system_calls(seccomp.program(os.uname().machine))
print(asyncio.run(choose_sandbox("unix:///nowhere/docker.sock")))
"""


async def test_where_there_is_an_engine_policies_run_in_containers(docker: Docker) -> None:
    assert isinstance(await choose_sandbox(docker.engine.url), DockerSandbox)


async def test_where_there_is_no_engine_they_run_in_the_kernel_sandbox(tmp_path: Path) -> None:
    if isinstance(found := await probe(), NoSandbox):
        pytest.skip(found.reason)
    assert isinstance(await choose_sandbox(f"unix://{tmp_path}/docker.sock"), Namespaces)


async def test_where_there_is_neither_both_reasons_are_told() -> None:
    async with program(NEITHER) as process:
        told = await line_of(process)
    assert told.startswith("NoSandbox(")
    assert "no Docker engine could be used at unix:///nowhere/docker.sock" in told
    assert "and without Docker: a sandbox could not be built here" in told
