"""Who is let in: passwords, TLS, and what is said when it is not right."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL

import pytest

from consumers.intake import broker_for
from events.connection import connect
from events.log import AccessDenied, BadLogUrl, LogUnavailable
from events.permissions import OPERATOR
from events.server import find_binary
from events.server_urls import parse, trusting, without_credentials
from tests.fixtures.guarded import GuardedNats, certify, guarded
from tests.fixtures.nats import NatsProcess
from tests.fixtures.ports import free_port


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
    assert urls.urls == ["tls://a:4222", "tls://b:4222"]
    assert (urls.user, urls.password) == ("u", "p")
    assert urls.authorities == (tmp_path / "ca.pem",)


def test_an_authority_is_named_from_the_root_on() -> None:
    with pytest.raises(BadLogUrl, match=r"ca_file=ca\.pem: write the whole path"):
        parse("tls://a:4222?ca_file=ca.pem")


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


@contextmanager
def with_flags(*flags: str) -> Iterator[str]:
    """The address of a server that lets in whom its command line names."""
    address = f"127.0.0.1:{free_port()}"
    server = subprocess.Popen(
        [find_binary(), "-a", "127.0.0.1", "-p", address.partition(":")[2], *flags], stderr=DEVNULL
    )
    try:
        yield address
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize(
    ("flags", "who"),
    [
        (("--user", "someone", "--pass", "p@ss:w/rd,50%"), "someone:p%40ss%3Aw%2Frd%2C50%25"),
        (("--user", "some@one", "--pass", "plain"), "some%40one:plain"),
        (("--auth", "t/ken,1"), "t%2Fken%2C1"),
    ],
)
async def test_what_means_something_in_a_url_is_percent_encoded(flags: tuple[str, ...], who: str) -> None:
    with with_flags(*flags) as address:
        async with await connect(f"nats://{who}@{address}", "test", timeout_s=60):
            pass
        with pytest.raises(AccessDenied, match="wrong user or password"):
            await connect(f"nats://{who}x@{address}", "test", timeout_s=60)
        broker = broker_for(f"nats://{who}@{address}")
        await broker.start()
        try:
            assert await broker.ping(timeout=10)
        finally:
            await broker.stop()


def test_all_servers_of_a_cluster_have_the_same_user() -> None:
    with pytest.raises(BadLogUrl, match="one user with one password") as refused:
        parse("nats://u:p@a:4222,nats://u:hidden@b:4222")
    assert "hidden" not in str(refused.value)
    assert parse("nats://u:p@a:4222,nats://b:4222").urls == ["nats://a:4222", "nats://b:4222"]


def test_a_password_may_be_empty_and_a_token_has_none() -> None:
    assert parse("nats://u:@a:4222").options == {"user": "u", "password": ""}
    assert parse("nats://t@a:4222").options == {"token": "t"}


def test_a_password_with_a_comma_is_not_shown_in_parts() -> None:
    with pytest.raises(BadLogUrl, match="%2C") as refused:
        parse("nats://worker:half,rest@127.0.0.1:4222")
    assert "half" not in str(refused.value)
    assert "rest" not in str(refused.value)
