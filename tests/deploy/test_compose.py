"""docker-compose.yml, run by a real engine: from `up` to weights, and the same weights after `down` and `up`.

The images are stand-ins (`standins.py`). `KINITRO_TESTS_LONG=1` builds ours from the Dockerfile instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import standins
from tests.deploy.composed import ROLES, SERVERS, Composed, composed
from tests.eventually import eventually
from tests.fixtures.docker_engine import Engine, NoEngine, engine
from tests.fixtures.docker_images import debian_image

LONG = os.environ.get("KINITRO_TESTS_LONG") == "1"
BUILD_S = 900
NEEDED_PROGRAMS = ("docker-compose", "nginx", "wget", "nsenter", "ip")
WEIGHTS = "/v1/weights/latest"


@pytest.fixture
def own_engine() -> Iterator[Engine]:
    if missing := [name for name in NEEDED_PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    try:
        with engine(has_networks=True) as made:
            yield made
    except NoEngine as error:
        pytest.skip(str(error))


@pytest.fixture
def backend(own_engine: Engine, tmp_path: Path) -> Iterator[Composed]:
    standins.make(own_engine, *standins.SERVERS)
    mounted: tuple[str, ...] = SERVERS
    if LONG:
        debian_image(own_engine, "python:3.12-slim-bookworm")
        build = ["docker", "build", "--tag", "kinitro:local", str(standins.ROOT)]
        subprocess.run(build, env=own_engine.environment, check=True, timeout=BUILD_S)
    else:
        standins.make(own_engine, standins.KINITRO_IMAGE)
        mounted = (*SERVERS, *ROLES)
    with composed(own_engine, tmp_path, mounted=mounted) as running:
        yield running


@pytest.mark.timeout(1800 if LONG else 600)
async def test_the_file_runs_a_cycle_and_keeps_it(backend: Composed) -> None:
    backend.command("up", "--detach", "--no-build", "--scale", "api=2", "--scale", "executor=2")
    await eventually(backend.are_healthy, 240)
    assert [len(backend.of(role)) for role in ROLES] == [1, 2, 1, 2]
    weights = await backend.answers(WEIGHTS)
    assert json.loads(weights)["cycle_id"] == 1
    _check_containers(backend)

    backend.engine.command("kill", backend.of("api")[0]["Id"])
    assert {backend.get("/livez")[0] for _ in range(6)} == {200}, "the other copy answers"

    backend.command("down")
    assert not backend.states()
    backend.command("up", "--detach", "--no-build")
    assert await backend.answers(WEIGHTS) == weights


def _check_containers(backend: Composed) -> None:
    for role in ROLES:
        for state in backend.of(role):
            variables = dict(each.split("=", 1) for each in state["Config"]["Env"])
            knows = "of-the-test" in json.dumps(variables)
            assert knows == (role in {"api", "projector"}), f"{role}: the database's password"
            assert state["HostConfig"]["ReadonlyRootfs"], role
            assert not any(value for name, value in variables.items() if name.startswith("KINITRO_NATS_")), role
