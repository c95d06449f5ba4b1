"""A Docker engine of our own for tests: its own files, socket and mount namespace, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from consumers.verification.sandbox.docker import IMAGE_COMMAND, engine_at
from consumers.verification.sandbox.owners import LABEL, PID

NEEDED_PROGRAMS = ("dockerd", "docker", "unshare", "tar")
STARTED_S, STOPPED_S = 60, 60


class NoEngine(Exception):
    """Why there can be none on this machine."""


@dataclass
class Engine:
    directory: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"unix://{self.directory}/docker.sock"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Returns when it answers. What it mounts is mounted in a namespace of its own, and goes with it."""
        options = {
            "config-file": self.directory / "daemon.json",
            "data-root": self.directory / "data",
            "exec-root": self.directory / "exec",
            "pidfile": self.directory / "pid",
            "host": self.url,
            "storage-driver": "vfs",
            "bridge": "none",
            "iptables": "false",
            "ip6tables": "false",
        }
        self.directory.joinpath("daemon.json").write_text("{}")
        self.directory.joinpath("exec/containerd/containerd.pid").unlink(missing_ok=True)  # of one that was killed
        with self.directory.joinpath("log").open("wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "dockerd"]
                + [f"--{name}={value}" for name, value in options.items()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + STARTED_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                said = self.directory.joinpath("log").read_text()[-500:]
                raise NoEngine(f"dockerd does not start here: {said}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(f"{self.directory}/docker.sock")
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b"200 OK" in connection.recv(1000)
        except OSError:
            return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(STOPPED_S)
            self.process = None

    def make_image(self) -> None:
        """As the operator is told to."""
        environment = {"PATH": os.environ["PATH"], "DOCKER_HOST": self.url}
        subprocess.run(IMAGE_COMMAND, shell=True, check=True, env=environment, capture_output=True, timeout=60)

    async def containers(self) -> frozenset[str]:
        async with engine_at(self.url) as docker:
            return frozenset(container.id for container in await docker.containers.list(all=True))

    async def processes(self, owner: int) -> frozenset[int]:
        """The first of each running container of a process."""
        filters = f'{{"label": ["{PID}={owner}", "{LABEL}"]}}'
        async with engine_at(self.url) as docker:
            found = [await each.show() for each in await docker.containers.list(filters=filters)]
        return frozenset(each["State"]["Pid"] for each in found)


@contextmanager
def engine() -> Iterator[Engine]:
    """
    Raises:
        NoEngine: there can be none here.
    """
    missing = [name for name in NEEDED_PROGRAMS if shutil.which(name) is None]
    if missing:
        raise NoEngine(f"no Docker engine to test with: {', '.join(missing)} not installed")
    if os.geteuid() != 0:
        raise NoEngine("no Docker engine to test with: only root can start one")
    made = Engine(Path(tempfile.mkdtemp(prefix="kinitro-engine-")))
    try:
        made.start()
        made.make_image()
        yield made
    finally:
        made.stop()
        shutil.rmtree(made.directory)
