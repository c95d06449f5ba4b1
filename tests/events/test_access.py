"""Who is let in: passwords, TLS, and what is said when it is not right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.intake import broker_for
from events.connection import connect
from events.log import AccessDenied, BadLogUrl, LogUnavailable
from events.permissions import OPERATOR
from events.server_urls import parse, trusting, without_credentials
from tests.fixtures.guarded import GuardedNats, certify, guarded
from tests.fixtures.nats import NatsProcess


@pytest.fixture(scope="module")
def plain() -> Iterator[GuardedNats]:
    with guarded() as server:
        yield server


@pytest.fixture(scope="module")
def encrypted() -> Iterator[GuardedNats]:
    with guarded(tls=True) as server:
        yield server


async def test_a_wrong_password_is_told_at_once_and_not_shown(plain: GuardedNats) -> None:
    with pytest.raises(AccessDenied, match="wrong user or password") as refused:
        await connect(plain.url("worker", password="mistyped"), "test", timeout_s=60)
    assert "mistyped" not in str(refused.value)


async def test_nobody_comes_without_a_user(plain: GuardedNats) -> None:
    with pytest.raises(AccessDenied, match="wrong user or password"):
        await connect(f"nats://127.0.0.1:{plain.port}", "test", timeout_s=60)


async def test_who_trusts_the_authority_is_connected(encrypted: GuardedNats) -> None:
    async with await connect(encrypted.url(OPERATOR), "test") as connection:
        assert "streams" in await connection.api("INFO")


async def test_the_broker_of_the_workers_is_too(encrypted: GuardedNats) -> None:
    broker = broker_for(encrypted.url("worker"))
    await broker.start()
    try:
        assert await broker.ping(timeout=10)
    finally:
        await broker.stop()


async def test_a_server_of_another_authority_is_not_trusted(encrypted: GuardedNats, tmp_path: Path) -> None:
    certify(tmp_path)
    bare = encrypted.url(OPERATOR).partition("?")[0]
    with pytest.raises(AccessDenied, match=r"not trusted.*--nats-ca") as refused:
        await connect(trusting(bare, tmp_path / "ca.pem"), "test", timeout_s=60)
    assert "secret-of" not in str(refused.value)


async def test_a_server_whose_authority_nobody_named_is_not_trusted(encrypted: GuardedNats) -> None:
    with pytest.raises(AccessDenied, match=r"not trusted.*--nats-ca"):
        await connect(encrypted.url(OPERATOR).partition("?")[0], "test", timeout_s=60)


async def test_a_password_never_goes_over_a_connection_without_tls(nats_server: NatsProcess, tmp_path: Path) -> None:
    """Somebody on the way could say that the server has no TLS."""
    certify(tmp_path)
    url = nats_server.url.replace("nats://", "tls://worker:secret@")
    with pytest.raises(AccessDenied, match="no TLS there as expected"):
        await connect(trusting(url, tmp_path / "ca.pem"), "test", timeout_s=60)


async def test_a_server_with_tls_takes_nothing_else(encrypted: GuardedNats) -> None:
    with pytest.raises(LogUnavailable, match=f"no NATS server at 127.0.0.1:{encrypted.port}"):
        await connect(encrypted.url(OPERATOR, scheme="nats"), "test", timeout_s=3)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://worker:secret@a:4222", "'http://a:4222' is not"),
        ("worker:secret://b@a:4222", "'a:4222' is not"),
    ],
)
def test_another_scheme_is_said_and_no_password(url: str, shown: str) -> None:
    with pytest.raises(BadLogUrl, match=shown) as raised:
        parse(url)
    assert "secret" not in str(raised.value)


def test_an_authority_is_of_no_use_without_tls(tmp_path: Path) -> None:
    with pytest.raises(BadLogUrl, match="write tls://"):
        parse(trusting("nats://worker:secret@a:4222", tmp_path / "ca.pem"))


def test_a_file_that_is_no_authority_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    with pytest.raises(BadLogUrl, match=r"--nats-ca .*ca\.pem.*PEM"):
        parse(trusting("tls://a:4222", path))


def test_servers_with_and_without_tls_do_not_go_together() -> None:
    with pytest.raises(BadLogUrl, match="for all"):
        parse("nats://u:p@a:4222,tls://u:p@b:4222")


def test_every_server_of_a_cluster_gets_the_authority(tmp_path: Path) -> None:
    certify(tmp_path)
    urls = parse(trusting("tls://u:p@a:4222, tls://u:p@b:4222", tmp_path / "ca.pem"))
    assert urls.urls == ["tls://u:p@a:4222", "tls://u:p@b:4222"]
    assert urls.user == "u"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://u:p@a:4222", "a:4222"),
        ("tls://u:p%40x@a:4222?ca_file=/c", "a:4222"),
        ("nats://a", "a"),
    ],
)
def test_of_a_url_only_the_address_is_shown(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


def test_a_password_with_a_comma_is_not_shown_in_parts() -> None:
    with pytest.raises(BadLogUrl, match="comma") as refused:
        parse("nats://worker:half,rest@127.0.0.1:4222")
    assert "half" not in str(refused.value)
    assert "rest" not in str(refused.value)
