"""Exports and imports that cannot go on, as processes: one line, no half file, and the next try completes them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from events.connection import connect
from events.export import check, read
from events.export_files import lines, reading
from events.jetstream import JetStreamLog
from events.log import BATCH_MAX, LogUnavailable
from events.mirror import bring_in
from events.server import EmbeddedNats
from events.streams import ensure_streams
from tests.cli.conftest import PROGRAM, Answer, running
from tests.controls.cycles import large_cycle
from tests.fixtures.link import Link
from tests.fixtures.nats import NatsProcess
from tests.fixtures.nats import running as running_nats
from tests.fixtures.projecting import write

FULL = Path("/dev/full")


class Original(NamedTuple):
    """A log of several appends, and its export."""

    url: str
    export: Path
    events: int


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Original]:
    path = tmp_path_factory.mktemp("original") / "whole.ndjson"
    with running_nats() as server:
        events = asyncio.run(fill(server.url))
        assert events > 2 * BATCH_MAX
        assert kinitro("events", "export", "--nats-url", server.url, "--out", path).status == 0
        yield Original(server.url, path, events)


async def fill(url: str) -> int:
    async with await connect(url, "tests") as connection:
        await ensure_streams(connection)
        return await write(JetStreamLog(connection), *large_cycle(1, miners=10, environments=8, episodes=40))


def kinitro(*arguments: str | Path, within: Sequence[str] = ()) -> Answer:
    done = subprocess.run([*within, *PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    return Answer(done.returncode, done.stdout, done.stderr)


SMALL_FILES = ("sh", "-c", 'ulimit -f 8; exec "$@"', "sh")
"""No file can grow beyond 4 or 8 kB, and the write that fails tells it, as on a full disk."""


@pytest.mark.parametrize("name", ["a.ndjson", "a.ndjson.gz"])
def test_where_there_is_no_room_the_file_that_was_there_stays(original: Original, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"yesterday's")
    answer = kinitro("events", "export", "--nats-url", original.url, "--out", tmp_path / name, within=SMALL_FILES)
    assert answer.status == 2
    assert answer.err == f"kinitro: {tmp_path / name}: File too large; make room, or choose another --out\n"
    assert [(it.name, it.read_bytes()) for it in tmp_path.iterdir()] == [(name, b"yesterday's")]


@pytest.mark.skipif(not FULL.is_char_device(), reason="this system has no /dev/full")
def test_a_full_device_is_told_and_not_replaced(original: Original) -> None:
    answer = kinitro("events", "export", "--nats-url", original.url, "--out", FULL)
    assert answer.status == 2
    assert answer.err == "kinitro: /dev/full: No space left on device; make room, or choose another --out\n"
    assert FULL.is_char_device()


@pytest.mark.skipif(not FULL.is_char_device(), reason="this system has no /dev/full")
def test_a_full_standard_output_is_told(original: Original) -> None:
    within = ("sh", "-c", 'exec "$@" > /dev/full', "sh")
    answer = kinitro("events", "export", "--nats-url", original.url, "--out", "-", within=within)
    assert answer.status == 2
    assert answer.err == "kinitro: -: No space left on device; make room, or choose another --out\n"


def test_a_reader_that_has_seen_enough_ends_an_export(original: Original) -> None:
    within = ("sh", "-c", '"$@" | head -n 1', "sh")
    answer = kinitro("events", "export", "--nats-url", original.url, "--out", "-", within=within)
    assert answer.out.encode() == original.export.read_bytes().splitlines(keepends=True)[0]
    assert answer.err == ""


def test_a_pipe_is_written_to(original: Original, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with running("events", "export", "--nats-url", original.url, "--out", tmp_path / "pipe") as exporting:
        assert (tmp_path / "pipe").read_bytes() == original.export.read_bytes()
        assert exporting.wait(30) == 0
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_link_is_followed(original: Original, tmp_path: Path) -> None:
    (tmp_path / "latest.ndjson").symlink_to("disk/a.ndjson")
    (tmp_path / "disk").mkdir()
    assert kinitro("events", "export", "--nats-url", original.url, "--out", tmp_path / "latest.ndjson").status == 0
    assert (tmp_path / "latest.ndjson").is_symlink()
    assert (tmp_path / "disk" / "a.ndjson").read_bytes() == original.export.read_bytes()


def test_what_comes_in_needs_room_too(original: Original, nats_alone: NatsProcess) -> None:
    within = ("sh", "-c", f'ulimit -f 8; exec "$@" < {original.export}', "sh")
    answer = kinitro("events", "import", "-", "--nats-url", nats_alone.url, within=within)
    assert answer.status == 2
    assert answer.err == "kinitro: -: File too large; make room, or set TMPDIR\n"


def test_a_file_without_a_trailer_is_refused_by_name(
    original: Original, nats_alone: NatsProcess, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.ndjson"
    cut.write_bytes(original.export.read_bytes()[:-1_000])
    answer = kinitro("events", "import", cut, "--nats-url", nats_alone.url)
    assert answer.status == 2
    assert re.fullmatch(
        rf"kinitro: {cut}: line \d+: the export ends without a trailer, in the middle.*\n", answer.err
    )
    assert asyncio.run(end_of(nats_alone.url)) == 0


async def test_an_interrupted_export_leaves_nothing(original: Original, tmp_path: Path) -> None:
    out = tmp_path / "a.ndjson"
    async with Link(original.url) as link:
        link.swallows_after = 1_000_000
        status, err = await interrupted(link, "events", "export", "--nats-url", link.url, "--out", out)
    assert (status, err) == (130, "")
    assert os.listdir(tmp_path) == []


async def test_an_interrupted_import_goes_on_where_it_stood(original: Original, nats_alone: NatsProcess) -> None:
    async with Link(nats_alone.url) as link:
        link.swallows_after = 1_000_000
        status, err = await interrupted(link, "events", "import", original.export, "--nats-url", link.url)
    assert (status, err) == (130, "")
    await completed(original, nats_alone)


async def interrupted(link: Link, *arguments: str | Path) -> tuple[int, str]:
    """Status and standard error of a command that gets Ctrl-C while it waits for an answer."""
    command = [*PROGRAM, *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        await link.swallowed.wait()
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, err.decode()


async def completed(original: Original, nats: NatsProcess) -> None:
    """A second import adds what is missing, and nothing else."""
    before = await end_of(nats.url)
    assert 0 < before < original.events
    again = await asyncio.to_thread(kinitro, "events", "import", original.export, "--nats-url", nats.url)
    assert f"; {original.events - before} appended, {before} were there; " in again.out
    copy = original.export.with_name("copy.ndjson")
    await asyncio.to_thread(kinitro, "events", "export", "--nats-url", nats.url, "--out", copy)
    assert copy.read_bytes() == original.export.read_bytes()


async def end_of(url: str) -> int:
    async with await connect(url, "tests") as connection:
        await ensure_streams(connection)
        return await JetStreamLog(connection).last_sequence()


class SmallNats(EmbeddedNats):
    """A server whose disk takes 1.5 MB."""

    bytes_max: int | None = 1_500_000

    def prepare(self) -> None:
        super().prepare()
        path = self.directory / "nats.conf"
        if self.bytes_max is not None:
            path.write_text(
                path.read_text().replace("jetstream {", f"jetstream {{\n  max_file_store: {self.bytes_max}")
            )


async def test_an_import_goes_on_once_the_log_has_room(original: Original, tmp_path: Path) -> None:
    nats = NatsProcess(tmp_path)
    nats.embedded = small = SmallNats(tmp_path)
    try:
        nats.start()
        await small.wait_ready()
        async with await connect(nats.url, "tests") as connection:
            await ensure_streams(connection)
            log = JetStreamLog(connection, patience_s=0.5)
            with (
                reading(original.export) as file,
                pytest.raises(LogUnavailable, match=r"(insufficient resources|no answer).*repeat"),
            ):
                await bring_in(log, read(lines(file)), check(lines(file)))
        nats.kill()
        small.bytes_max = None
        nats.start()
        await small.wait_ready()
        await completed(original, nats)
    finally:
        nats.kill()
