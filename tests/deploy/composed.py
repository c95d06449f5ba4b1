"""`docker-compose` with the file that we ship, in an engine of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.deploy.standins import MOUNTS, ROOT
from tests.eventually import eventually
from tests.fixtures.docker_engine import Engine

PROJECT = "kinitro"
COMMAND_S = 300
PUBLISHED = "http://127.0.0.1:8000"
ROLES = ("projector", "api", "scheduler", "executor")
SERVERS = ("nats", "postgres", "nginx")

SETTINGS = """
POSTGRES_PASSWORD=of-the-test
KINITRO_BACKEND_ROSTER=/config/roster.toml
KINITRO_BACKEND_NETWORK=test
KINITRO_BACKEND_ENVIRONMENTS=metaworld/reach-v3
KINITRO_BACKEND_EPISODES_PER_ENV=2
KINITRO_BACKEND_OBSERVATION_PROFILE=state/1
KINITRO_BACKEND_ACTION_TIMEOUT_MS=5000
KINITRO_BACKEND_RESET_TIMEOUT_MS=60000
KINITRO_EXECUTOR_WORKERS=1
KINITRO_EXECUTOR_ALLOW_PRIVATE_ENDPOINTS=True
"""

ROSTER = """[[miner]]
hotkey = "expert"
uid = 0
endpoint = "http://policy:9000"
repo = "test/policy"
revision = "1"
committed_block = 100
"""

GET = """
import sys, urllib.request, urllib.error
try:
    answer = urllib.request.urlopen(sys.argv[1], timeout=30)
except urllib.error.HTTPError as error:
    answer = error
except OSError as error:
    sys.exit(f"000 {error}")
sys.stdout.buffer.write(str(answer.status).encode() + b" " + answer.read())
"""


class Composed:
    """A directory as an operator has it, and the commands that are given in it."""

    def __init__(self, engine: Engine, directory: Path, *, mounted: tuple[str, ...]) -> None:
        self.engine, self.directory = engine, directory
        shutil.copy(ROOT / "docker-compose.yml", directory)
        shutil.copytree(ROOT / "deploy", directory / "deploy")
        (directory / "config").mkdir()
        (directory / "config/roster.toml").write_text(ROSTER)
        (directory / ".env").write_text((ROOT / ".env.example").read_text() + SETTINGS)
        (directory / "test.yml").write_text(json.dumps(_override(mounted)))
        for path in (directory, *directory.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)  # containers have users of their own

    def command(self, *arguments: str) -> str:
        """What `docker-compose ARGUMENTS` says; it must succeed."""
        files = ("-f", "docker-compose.yml", "-f", "test.yml")
        done = subprocess.run(
            ["docker-compose", "--project-name", PROJECT, *files, *arguments],
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "DOCKER_HOST": self.engine.url},
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr[-3000:]}\n{self.said()}"
        return done.stdout

    def said(self) -> str:
        """The end of what each container wrote, for whoever reads why a test failed."""
        texts = []
        for name, state in self.states().items():
            logs = subprocess.run(
                ["docker", "logs", "--tail", "8", name],
                env=self.engine.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=COMMAND_S,
            ).stdout
            texts.append(
                f"== {name}: {state['State']['Status']}, {state['State'].get('Health', {}).get('Status')}\n{logs}"
            )
        return "\n".join(texts)

    def states(self) -> dict[str, dict[str, Any]]:
        """Of all containers, as `docker inspect` has them, by name."""
        names = self.engine.command("ps", "--all", "--quiet").split()
        found = json.loads(self.engine.command("inspect", *names)) if names else []
        return {state["Name"].removeprefix("/"): state for state in found}

    def of(self, service: str) -> list[dict[str, Any]]:
        """The containers of a service."""
        label = "com.docker.compose.service"
        return [state for state in self.states().values() if state["Config"]["Labels"].get(label) == service]

    def are_healthy(self) -> bool:
        """All containers that are asked for their health."""
        states = [state["State"] for state in self.states().values()]
        assert all(state["Running"] for state in states), self.said()
        return all(state["Health"]["Status"] == "healthy" for state in states if "Health" in state)

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of what the machine's clients are answered at the published port; 0 when by nobody."""
        done = subprocess.run(
            ["nsenter", "--target", str(self.engine.pid), "--net", sys.executable, "-c", GET, f"{PUBLISHED}{path}"],
            capture_output=True,
            timeout=COMMAND_S,
        )
        if done.returncode:
            return 0, done.stderr
        status, _, body = done.stdout.partition(b" ")
        return int(status), body

    async def answers(self, path: str, timeout_s: float = 240) -> bytes:
        """The body, once it is there."""
        got: list[tuple[int, bytes]] = []

        def answered() -> bool:
            got.append(self.get(path))
            return got[-1][0] == 200

        try:
            await eventually(answered, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{path}: {got[-1]}\n{self.said()}") from error
        return got[-1][1]


@contextmanager
def composed(engine: Engine, directory: Path, *, mounted: tuple[str, ...] = (*SERVERS, *ROLES)) -> Iterator[Composed]:
    """`mounted`: the services whose images are stand-ins, which need this machine's files."""
    running = Composed(engine, directory, mounted=mounted)
    try:
        yield running
    finally:
        running.command("down", "--volumes", "--timeout", "2")


def _override(mounted: tuple[str, ...]) -> dict[str, Any]:
    """What a test changes: where files are, how often health is looked at, and a miner's policy beside all that."""
    often: dict[str, Any] = {"healthcheck": {"interval": "2s"}}
    services = {name: often | ({"volumes": MOUNTS} if name in mounted else {}) for name in (*SERVERS, *ROLES)}
    services["postgres"] = services["postgres"] | {"stop_signal": "SIGINT"}  # as its image has it; an import cannot
    policy = {
        "image": "kinitro:local",
        "stop_grace_period": "1s",
        "command": ["policy", "serve", "expert", "--host", "0.0.0.0", "--port", "9000"],
        **({"volumes": MOUNTS} if "executor" in mounted else {}),
    }
    return {"services": {**services, "policy": policy}}
