"""What hostile policies can do to their client: get a code and a sentence, and nothing more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from sim.http.policy import RECEIVE_BUFFER_BYTES, HttpPolicy
from sim.policy import Doubt, PolicyFailed, PolicyFailure
from sim.spec import ARM_ACTION
from tests.eventually import eventually
from tests.fixtures.ports import free_port
from tests.sim.http.hostile import (
    GOOD_ACTION,
    Answer,
    blackhole,
    http,
    never_answers,
    raw_server,
    says,
    says_and_closes,
)
from tests.sim.http.hostile_policies import (
    ENDED_S_MAX,
    HOSTILE,
    METADATA,
    ODD,
    PATIENT_MS,
    SHORT_MS,
    Hostile,
    body,
    redirect,
)
from tests.sim.http.memory import memory_growth
from tests.sim.http.test_policy import OBSERVATION, TASK, reset_and_act

ROOT = Path(__file__).parents[3]
ALLOWED: dict[str, Any] = {"allow_private_addresses": True}
GROWTH_MIB_MAX = 50

Infos = list[tuple[int, int, int, str, tuple[str, int]]]


async def failed(url: str, *, reset_ms: float = PATIENT_MS, act_ms: float = PATIENT_MS) -> PolicyFailed:
    with pytest.raises(PolicyFailed) as caught:
        await reset_and_act(url, reset_ms=reset_ms, act_ms=act_ms)
    detail = caught.value.detail
    assert detail.isprintable()
    assert "127.0.0.1" not in detail, "endpoints may be secret"
    assert str(url.rpartition(":")[2]) not in detail, "and so are their ports"
    return caught.value


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
async def test_each_gets_its_code_and_a_detail_within_its_time_and_little_memory(hostile: Hostile) -> None:
    async with hostile.served() as server:
        started_s = time.monotonic()
        with memory_growth() as growth:
            failure = await failed(server.url, reset_ms=hostile.reset_ms, act_ms=hostile.act_ms)
        took_s = time.monotonic() - started_s
    assert (failure.code, hostile.detail in failure.detail) == (hostile.code, True), failure.detail
    assert took_s < ENDED_S_MAX
    assert growth.mib < GROWTH_MIB_MAX


@pytest.mark.parametrize("act", ODD.values(), ids=ODD)
async def test_what_is_odd_but_understandable_is_fine(act: Answer) -> None:
    async with raw_server(act=act) as server, HttpPolicy(server.url, **ALLOWED) as policy:
        await policy.reset(TASK, deadline_ms=PATIENT_MS)
        for _ in range(3):
            decision = await policy.act(OBSERVATION, ARM_ACTION, deadline_ms=PATIENT_MS)
            assert decision.action.channels["ee_twist"][0] == 0.5


async def test_an_error_of_the_policy_is_not_tried_again() -> None:
    async with raw_server(act=body(b"", status="503 Busy")) as server:
        await failed(server.url)
    assert [path for path, _, _ in server.requests] == ["/reset", "/act"]


async def test_garbage_after_an_answer_is_not_taken_for_the_next_one() -> None:
    garbage_sent = asyncio.Event()

    async def answers_and_babbles(writer: asyncio.StreamWriter) -> None:
        writer.write(http(GOOD_ACTION))
        await answered.wait()
        writer.write(b"garbage\r\n\r\n")
        await writer.drain()
        garbage_sent.set()

    answered = asyncio.Event()
    async with raw_server(act=answers_and_babbles) as server, HttpPolicy(server.url, **ALLOWED) as policy:
        await policy.reset(TASK, deadline_ms=PATIENT_MS)
        await policy.act(OBSERVATION, ARM_ACTION, deadline_ms=PATIENT_MS)
        answered.set()
        await garbage_sent.wait()
        # Whether it is seen in time to connect anew, or read as an answer that is none, is up to the scheduler.
        with contextlib.suppress(PolicyFailed):
            decision = await policy.act(OBSERVATION, ARM_ACTION, deadline_ms=PATIENT_MS)
            assert decision.action.channels["ee_twist"][0] == 0.5


async def test_an_answer_before_the_request_is_an_answer() -> None:
    async with raw_server(greeting=says(http(b"{}")), reset=never_answers) as server:
        await reset_and_act(server.url)
    assert server.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_nothing_is_sent_to_where_a_redirect_points(status: int) -> None:
    async with raw_server() as trap, raw_server(act=redirect(f"{status} Go", f"{trap.url}/act")) as server:
        await failed(server.url)
    assert trap.connections == 0


# Names: the resolver is the world outside, so that is where these tests step in.


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[str], list[str]]], list[str]]]:
    """Replaces the resolver by a function from a host name to addresses, and gives the names it is asked for."""
    asked: list[str] = []
    release = threading.Event()
    real = socket.getaddrinfo

    def install(answer: Callable[[str], list[str]]) -> list[str]:
        def getaddrinfo(host: str, port: int, *rest: Any, **options: Any) -> Any:
            asked.append(host)
            if host == "tarpit.example":
                release.wait(100)
            if not str(host).endswith(".example"):
                return real(host, port, *rest, **options)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer(host)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    yield install
    release.set()


def default_threads() -> int:
    """Of the pool that a name server which never answers could otherwise fill."""
    return min(32, (os.cpu_count() or 1) + 4)


def in_turn(*answers: list[str]) -> Callable[[str], list[str]]:
    remaining = list(answers)
    return lambda _: remaining.pop(0) if len(remaining) > 1 else remaining[0]


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def named(url: str, name: str = "policy.example") -> str:
    return url.replace("127.0.0.1", name)


@pytest.fixture
def closed_port() -> int:
    return free_port()


async def test_a_name_that_turns_bad_between_two_attempts_is_refused(names: Any, closed_port: int) -> None:
    names(in_turn(["127.0.0.1"], ["169.254.169.254"]))
    failure = await failed(f"http://policy.example:{closed_port}")
    assert (failure.code, failure.detail) == (PolicyFailure.ADDRESS_REFUSED, "the endpoint is a link-local address")


async def test_a_name_that_turns_bad_during_the_episode_is_refused(names: Any) -> None:
    names(in_turn(["127.0.0.1"], ["169.254.169.254"]))
    async with raw_server(reset=says_and_closes(http(b"{}", "200 OK", "Connection: close"))) as server:
        failure = await failed(named(server.url))
    assert failure.code is PolicyFailure.ADDRESS_REFUSED
    assert [path for path, _, _ in server.requests] == ["/reset"]


async def test_a_bad_address_behind_a_dead_good_one_is_refused(names: Any, closed_port: int) -> None:
    names(in_turn(["127.0.0.1", "169.254.169.254"]))
    failure = await failed(f"http://policy.example:{closed_port}")
    assert failure.code is PolicyFailure.ADDRESS_REFUSED


async def test_names_that_are_never_answered_hold_nobody_up(names: Any) -> None:
    asked = names(in_turn(["127.0.0.1"]))
    async with raw_server() as server:
        stuck = [asyncio.create_task(failed("http://tarpit.example", reset_ms=1_000)) for _ in range(64)]
        await eventually(lambda: asked.count("tarpit.example") >= min(len(stuck), default_threads()))
        await reset_and_act(named(server.url))
        failures = await asyncio.gather(*stuck)
    assert {(it.code, it.detail, it.doubt) for it in failures} == {
        (PolicyFailure.UNREACHABLE, "the host name was not resolved within 1000 ms", Doubt.NAME_UNANSWERED)
    }


@pytest.mark.parametrize(
    ("error", "detail", "doubt"),
    [
        (socket.EAI_NONAME, "the host name does not exist", Doubt.NONE),
        (socket.EAI_AGAIN, "the host name cannot be resolved now", Doubt.NAME_UNANSWERED),
        (socket.EAI_FAIL, "the host name cannot be resolved now", Doubt.NAME_UNANSWERED),
    ],
)
async def test_only_a_resolver_that_says_so_is_believed(names: Any, error: int, detail: str, doubt: Doubt) -> None:
    def refuse(_: str) -> list[str]:
        raise socket.gaierror(error, "says the resolver")

    names(refuse)
    failure = await failed("http://policy.example")
    assert (failure.code, failure.detail, failure.doubt) == (PolicyFailure.UNREACHABLE, detail, doubt)


# Doubt: whether it could as well have been our network.


async def test_an_address_from_which_nothing_comes_back_leaves_a_doubt() -> None:
    with blackhole() as url:
        failure = await failed(url, reset_ms=SHORT_MS)
    assert (failure.code, failure.doubt) == (PolicyFailure.UNREACHABLE, Doubt.NEVER_REACHED)
    assert failure.detail == f"no connection within {SHORT_MS} ms"


async def test_a_refused_connection_leaves_no_doubt(closed_port: int) -> None:
    for reset_ms in (SHORT_MS, PATIENT_MS):
        failure = await failed(f"http://127.0.0.1:{closed_port}", reset_ms=reset_ms)
        assert (failure.detail, failure.doubt) == ("no connection: Connection refused", Doubt.NONE)


async def test_a_policy_that_falls_silent_leaves_another_doubt_than_one_never_reached() -> None:
    async with raw_server(act=never_answers) as server:
        failure = await failed(server.url, act_ms=SHORT_MS)
    assert failure.doubt is Doubt.FELL_SILENT


async def test_a_policy_that_cannot_be_connected_to_again_fell_silent(names: Any) -> None:
    closes = says_and_closes(http(b"{}", "200 OK", "Connection: close"))
    async with raw_server(reset=closes) as server, HttpPolicy(named(server.url), **ALLOWED) as policy:
        names(in_turn(["127.0.0.1"]))
        await policy.reset(TASK, deadline_ms=PATIENT_MS)
        names(in_turn(["127.0.0.2"]))
        with blackhole("127.0.0.2", port_of(server.url)), pytest.raises(PolicyFailed) as caught:
            await policy.act(OBSERVATION, ARM_ACTION, deadline_ms=SHORT_MS)
    assert (caught.value.code, caught.value.doubt) == (PolicyFailure.UNREACHABLE, Doubt.FELL_SILENT)


# TLS.


def tls_server(authority: trustme.CA, *names: str, not_after: datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, not_after=not_after).configure_cert(context)
    return context


async def outcome_trusting(authority: trustme.CA, url: str, folder: Path) -> str:
    bundle = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    return await outcome_elsewhere(url, {"SSL_CERT_FILE": str(bundle)})


async def outcome_elsewhere(url: str, environment: dict[str, str], *, reset_ms: int = PATIENT_MS) -> str:
    """Of a reset and an act in another process, on the event loop that workers use."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.sim.http.one_call", url, str(reset_ms)),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return output.decode().strip()


async def test_a_certificate_of_a_known_authority_is_fine(tmp_path: Path) -> None:
    authority = trustme.CA()
    async with raw_server(tls=tls_server(authority, "127.0.0.1")) as server:
        assert await outcome_trusting(authority, server.url, tmp_path) == "fine"


@pytest.mark.parametrize(
    ("name", "age", "detail"),
    [
        ("other.example", timedelta(days=-1), "IP address mismatch"),
        ("127.0.0.1", timedelta(days=1), "certificate has expired"),
    ],
)
async def test_a_certificate_for_others_or_of_yesterday_is_not(
    name: str, age: timedelta, detail: str, tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = tls_server(authority, name, not_after=datetime.now(UTC) - age)
    async with raw_server(tls=context) as server:
        outcome = await outcome_trusting(authority, server.url, tmp_path)
    assert outcome == f"unreachable: TLS: the certificate is not accepted: {detail}"


async def test_a_certificate_of_an_unknown_authority_is_not() -> None:
    async with raw_server(tls=tls_server(trustme.CA(), "127.0.0.1")) as server:
        failure = await failed(server.url)
    assert failure.code is PolicyFailure.UNREACHABLE
    assert failure.detail.startswith("TLS: the certificate is not accepted: ")
    assert failure.doubt is Doubt.NONE


async def test_plain_http_behind_https_is_no_session() -> None:
    async with raw_server(greeting=says(http(b"{}"))) as server:
        failure = await failed(server.url.replace("http:", "https:"))
    assert (failure.code, failure.doubt) == (PolicyFailure.UNREACHABLE, Doubt.NONE)
    assert failure.detail.startswith("TLS: no session: ")


async def test_a_handshake_without_end_is_the_policys_doing() -> None:
    async with raw_server() as server:
        failure = await failed(server.url.replace("http:", "https:"), reset_ms=SHORT_MS)
    assert (failure.code, failure.doubt) == (PolicyFailure.UNREACHABLE, Doubt.NONE)
    assert failure.detail == f"TLS: no session within {SHORT_MS} ms, but a connection"


async def test_on_the_workers_own_event_loop_the_same_is_told_apart() -> None:
    async with raw_server() as server:
        outcome = await outcome_elsewhere(server.url.replace("http:", "https:"), {}, reset_ms=SHORT_MS)
    assert outcome == f"unreachable: TLS: no session within {SHORT_MS} ms, but a connection"
    with blackhole() as url:
        outcome = await outcome_elsewhere(url, {}, reset_ms=SHORT_MS)
    assert outcome == f"unreachable: no connection within {SHORT_MS} ms"


async def test_one_turn_of_the_loop_reads_little() -> None:
    async with raw_server() as server, HttpPolicy(server.url, **ALLOWED) as policy:
        await policy.reset(TASK, deadline_ms=PATIENT_MS)
        assert policy._socket is not None
        held = policy._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert held <= 2 * RECEIVE_BUFFER_BYTES, "Linux doubles what it is asked for"


def test_growth_of_memory_would_be_seen_even_if_it_is_given_back() -> None:
    with memory_growth() as growth:
        (b"x" * (256 << 20)).count(b"y")
    assert growth.mib > GROWTH_MIB_MAX


def test_the_metadata_address_of_the_library_is_the_real_one() -> None:
    assert METADATA.startswith("http://169.254.169.254/")
