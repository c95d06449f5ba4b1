"""Each kind of sandbox that this machine has, repositories of policies, and questions to ask."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from consumers.verification.sandbox.docker import IMAGE, IMAGE_COMMAND, DockerSandbox, probe_docker
from consumers.verification.sandbox.namespaces import Namespaces, probe
from consumers.verification.sandbox.owners import LABEL, PID
from consumers.verification.sandbox.protocol import NoSandbox, Sandbox
from sim.rl_interface import Observation, encode_act_request
from tests.consumers.verification.leftovers import Traces, descendants, traces
from tests.fixtures.docker_engine import Engine, NoEngine, engine

IMAGE_S = 60

Repository = Callable[[str], Path]

PICTURE = np.arange(84 * 84 * 3, dtype=np.uint8).reshape(84, 84, 3)
ACT = encode_act_request(Observation({"ee_pos": np.array([0.1, 0.2, 0.3], np.float32)}, {"corner": PICTURE}))
RESET = b'{"task_config": {"env_id": "metaworld/reach-v3", "task_id": 7}}'

HONEST = """
class Policy:
    def reset(self, task_config):
        self.task_id = task_config["task_id"]

    def act(self, obs):
        gripper = obs["rgb"]["corner"].mean(dtype="float64") / 255
        return {"continuous": {"ee_twist": obs["proprio"]["ee_pos"].tolist() * 2, "gripper": [gripper]}}

def make_policy():
    return Policy()
"""


class Place(ABC):
    """A kind of sandbox, and how it is looked at from outside."""

    @abstractmethod
    async def sandbox(self) -> Sandbox | NoSandbox: ...

    @abstractmethod
    def with_packages(self, packages: Sequence[Path]) -> Sandbox: ...

    @abstractmethod
    def source(self) -> str:
        """Assigns such a sandbox to `sandbox`, in a program of its own."""

    @abstractmethod
    async def processes(self, user: int) -> frozenset[int]:
        """Of the sandboxes that a process uses, at least one each."""

    async def containers(self) -> frozenset[str]:
        return frozenset()

    def traces(self, repository: Path) -> Traces:
        return traces(repository)


class Kernel(Place):
    async def sandbox(self) -> Sandbox | NoSandbox:
        return await probe()

    def with_packages(self, packages: Sequence[Path]) -> Sandbox:
        return Namespaces(packages)

    def source(self) -> str:
        return "from consumers.verification.sandbox.namespaces import Namespaces\nsandbox = Namespaces()\n"

    async def processes(self, user: int) -> frozenset[int]:
        return descendants(user)


class Docker(Place):
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._found: Sandbox | NoSandbox | None = None

    async def sandbox(self) -> Sandbox | NoSandbox:
        self._found = self._found or await probe_docker(self.engine.url)
        return self._found

    def with_packages(self, packages: Sequence[Path]) -> Sandbox:
        return DockerSandbox(self.engine.url, IMAGE, packages)

    def source(self) -> str:
        imported = "from consumers.verification.sandbox.docker import DockerSandbox"
        return f"{imported}\nsandbox = DockerSandbox({self.engine.url!r}, {IMAGE!r})\n"

    async def processes(self, user: int) -> frozenset[int]:
        return await self.engine.processes(f"{PID}={user}", LABEL)

    async def containers(self) -> frozenset[str]:
        return await self.engine.containers()

    def traces(self, repository: Path) -> Traces:
        return traces(repository, self.engine.pid)


@contextmanager
def sandbox_engine() -> Iterator[Engine]:
    """One with the image, made as the operator is told to.

    Raises:
        NoEngine: there can be none here.
    """
    with engine() as made:
        subprocess.run(
            IMAGE_COMMAND, shell=True, check=True, env=made.environment, capture_output=True, timeout=IMAGE_S
        )
        yield made


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """One engine for all tests of a process."""
    try:
        with sandbox_engine() as made:
            yield Docker(made)
    except NoEngine as error:
        pytest.skip(str(error))


@pytest.fixture(params=["kernel", "docker"])
async def place(request: pytest.FixtureRequest) -> Place:
    found: Place = Kernel() if request.param == "kernel" else request.getfixturevalue("docker")
    return found


@pytest.fixture
async def sandbox(place: Place) -> Sandbox:
    found = await place.sandbox()
    if isinstance(found, NoSandbox):
        pytest.skip(found.reason)
    return found


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Makes repositories whose `policy.py` is the given source."""
    count = iter(range(100))

    def make(source: str) -> Path:
        directory = tmp_path / f"repository-{next(count)}"
        directory.mkdir(mode=0o755)
        directory.joinpath("policy.py").write_text(source)
        return directory

    return make
