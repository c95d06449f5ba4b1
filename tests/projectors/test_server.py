"""The embedded PostgreSQL: created once, reached by a socket, run below directories that only root may enter."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from projectors import unprivileged
from projectors.database import create_database, open_engine
from projectors.server import AlreadyRunning, CannotPrepare, EmbeddedPostgres, NotReady, UnsafeDirectory
from tests.fixtures.postgres import RunningPostgres

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
PR_CAPBSET_DROP = 24


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[RunningPostgres]:
    """Not started. pytest's own directories are 0700 and ours: what root's checkout looks like to nobody."""
    assert tmp_path.stat().st_mode & 0o077 == 0
    running = RunningPostgres(tmp_path / "home")
    yield running
    running.kill()


@pytest.fixture
def same_user() -> Iterator[subprocess.Popen[bytes]]:
    """Some process of the user that the server runs as."""
    process = subprocess.Popen(["sleep", "60"], user=None if os.geteuid() else 65534)
    yield process
    process.kill()
    process.wait()


def socket_directory(server: EmbeddedPostgres) -> Path:
    return Path(server.url.split("host=")[1].split("&")[0])


def process_status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def put_number_into_locks(home: Path, pid: int) -> None:
    for lock in (home / "data" / "postmaster.pid", home / ".s.PGSQL.5432.lock"):
        _, rest = lock.read_text().split("\n", 1)
        lock.write_text(f"{pid}\n{rest}")


async def test_it_starts_below_a_directory_that_only_its_owner_may_enter(alone: RunningPostgres) -> None:
    alone.start()
    await alone.server.wait_ready()


@needs_root
async def test_as_root_it_runs_as_somebody_else_with_one_capability(alone: RunningPostgres) -> None:
    alone.start()
    await alone.server.wait_ready()
    assert alone.process is not None
    status = process_status(alone.process.pid)
    assert status["Uid"].split()[0] != "0"
    assert int(status["CapEff"], 16) == 1 << unprivileged.CAP_DAC_OVERRIDE


@needs_root
def test_without_the_capability_one_line_says_what_to_do() -> None:
    def drop() -> None:
        assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, unprivileged.CAP_DAC_OVERRIDE) == 0

    done = subprocess.run(
        [sys.executable, "-I", "-S", unprivileged.__file__, "65534:65534", "--", "/bin/true"],
        preexec_fn=drop,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "CAP_DAC_OVERRIDE" in done.stderr


@needs_root
def test_the_parents_death_signal_survives_the_change_of_user() -> None:
    libc = ctypes.CDLL(None)
    code = "import ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n)); print(n.value)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", unprivileged.__file__, "65534:65534", "--", sys.executable, "-c", code],
        preexec_fn=lambda: libc.prctl(1, signal.SIGKILL),
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) == signal.SIGKILL


async def test_its_url_works_with_asyncpg_and_with_sqlalchemy(alone: RunningPostgres) -> None:
    alone.start()
    await alone.server.wait_ready()
    assert await create_database(alone.server.url)
    connection = await asyncpg.connect(alone.server.url)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    engine = open_engine(alone.server.url, role="test", command_timeout_s=60)
    async with engine.connect() as session:
        assert await session.scalar(text("SHOW listen_addresses")) == ""
    await engine.dispose()


async def test_a_path_too_long_for_a_socket_gets_a_short_private_directory(tmp_path: Path) -> None:
    running = RunningPostgres(tmp_path / ("long" * 25) / "home")
    try:
        running.start()
        await running.server.wait_ready()
    finally:
        running.kill()


def test_the_short_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / ("long" * 25) / "home")
    sockets = socket_directory(server)
    sockets.symlink_to(tmp_path)
    try:
        with pytest.raises(UnsafeDirectory, match=sockets.name):
            server.prepare()
    finally:
        sockets.unlink()


async def test_a_living_server_is_named_rather_than_joined(alone: RunningPostgres) -> None:
    alone.start()
    await alone.server.wait_ready()
    assert alone.process is not None
    with pytest.raises(AlreadyRunning, match=str(alone.process.pid)):
        alone.server.prepare()


async def test_it_starts_again_after_kill_9(alone: RunningPostgres) -> None:
    alone.start()
    await alone.server.wait_ready()
    alone.kill()
    alone.start()
    await alone.server.wait_ready()


async def test_a_lock_whose_number_another_process_bears_now_does_not_block_a_start(
    alone: RunningPostgres, same_user: subprocess.Popen[bytes]
) -> None:
    alone.start()
    await alone.server.wait_ready()
    alone.kill()
    put_number_into_locks(socket_directory(alone.server), same_user.pid)
    alone.start()
    await alone.server.wait_ready()


async def test_its_stop_signal_ends_it_cleanly(alone: RunningPostgres) -> None:
    alone.start()
    await alone.server.wait_ready()
    process = alone.process
    assert process is not None
    process.send_signal(alone.server.stop_signal)
    assert process.wait(60) == 0


async def test_data_survives_a_restart(alone: RunningPostgres) -> None:
    alone.start()
    await alone.server.wait_ready()
    await create_database(alone.server.url)
    alone.stop()
    alone.start()
    await alone.server.wait_ready()
    assert not await create_database(alone.server.url)


async def test_an_initialisation_that_was_cut_off_is_done_again(alone: RunningPostgres) -> None:
    alone.server.prepare()
    home = socket_directory(alone.server)
    (home / "data").rename(home / "data.new")
    alone.start()
    await alone.server.wait_ready()


def test_a_home_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(CannotPrepare, match="use another home"):
        EmbeddedPostgres(tmp_path / "home").prepare()


async def test_a_server_that_is_not_there_is_not_ready(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="no connection within"):
        await EmbeddedPostgres(tmp_path).wait_ready(0.1)
