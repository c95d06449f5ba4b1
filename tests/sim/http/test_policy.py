from __future__ import annotations

import asyncio
import gzip
import os
import re
import resource
import socket
import time
import tracemalloc
from typing import Any, cast

import numpy as np
import orjson
import pytest
from aiohttp.connector import AddrInfoType

from events.ids import EnvId
from sim.errors import SimulationFailed
from sim.http.clock import GRACE_S
from sim.http.failures import concealed
from sim.http.policy import CONNECT_ATTEMPTS_MAX, HttpPolicy
from sim.policy import DETAIL_CHARS_MAX, Decision, PolicyFailed, PolicyFailure, TaskConfig
from sim.rl_interface import Observation
from sim.spec import ARM_ACTION, PROPRIO
from tests.fixtures.ports import free_port
from tests.sim.http import hostile
from tests.sim.http.hostile import Answer, http, raw_server, says, says_and_closes

TASK = TaskConfig(EnvId("metaworld/push-v3"), 7)
OBSERVATION = Observation({name: np.zeros(channel.size, np.float32) for name, channel in PROPRIO.items()})


async def reset_and_act(url: str, *, reset_ms: float = 30_000, act_ms: float = 30_000, **options: object) -> Decision:
    async with HttpPolicy(url, allow_private_addresses=True, **options) as policy:  # type: ignore[arg-type]
        await policy.reset(TASK, deadline_ms=reset_ms)
        return await policy.act(OBSERVATION, ARM_ACTION, deadline_ms=act_ms)


async def failure(url: str, **options: object) -> PolicyFailed:
    with pytest.raises(PolicyFailed) as caught:
        await reset_and_act(url, **options)  # type: ignore[arg-type]
    assert len(caught.value.detail) <= DETAIL_CHARS_MAX
    assert caught.value.detail.isprintable()
    assert "127.0.0.1" not in caught.value.detail, "endpoints may be secret"
    return caught.value


async def test_an_honest_policy_is_heard() -> None:
    async with raw_server() as server:
        decision = await reset_and_act(server.url)
    assert decision.action.channels["ee_twist"].tolist() == [0.5, 0, 0, 0, 0, 0]


async def test_reset_names_the_task_and_never_the_seed() -> None:
    async with raw_server() as server:
        await reset_and_act(server.url)
    path, _, body = server.requests[0]
    assert path == "/reset"
    assert orjson.loads(body) == {
        "task_config": {
            "env_id": "metaworld/push-v3",
            "env_name": "metaworld",
            "task_name": "push-v3",
            "task_id": 7,
        }
    }


async def test_one_connection_serves_the_whole_episode() -> None:
    async with raw_server() as server, HttpPolicy(server.url, allow_private_addresses=True) as policy:
        await policy.reset(TASK, deadline_ms=30_000)
        for _ in range(5):
            await policy.act(OBSERVATION, ARM_ACTION, deadline_ms=30_000)
    assert server.connections == 1
    assert len(server.requests) == 6


async def test_a_path_of_the_endpoint_is_kept() -> None:
    async with raw_server() as server:
        await reset_and_act(f"{server.url}/v2/")
    assert [path for path, _, _ in server.requests] == ["/v2/reset", "/v2/act"]


async def test_a_server_without_keep_alive_is_fine() -> None:
    answers: dict[str, Any] = {
        "reset": says_and_closes(http(b"{}", "200 OK", "Connection: close")),
        "act": says_and_closes(http(hostile.GOOD_ACTION, "200 OK", "Connection: close")),
    }
    async with raw_server(**answers) as server:
        await reset_and_act(server.url)
    assert server.connections == 2


async def test_an_idle_connection_that_the_server_closed_is_not_held_against_the_policy() -> None:
    async with raw_server(reset=says_and_closes(http(b"{}"))) as server:
        await reset_and_act(server.url)
    assert server.connections == 2


async def test_compression_is_not_asked_for() -> None:
    async with raw_server() as server:
        await reset_and_act(server.url)
    assert {headers["accept-encoding"] for _, headers, _ in server.requests} == {"identity"}


async def test_cookies_are_not_kept() -> None:
    async with raw_server(reset=says(http(b"{}", "200 OK", "Set-Cookie: a=b"))) as server:
        await reset_and_act(server.url)
    assert all("cookie" not in headers for _, headers, _ in server.requests)


def action(continuous: str) -> Answer:
    return says(http(b'{"action":{"continuous":%s}}' % continuous.encode()))


@pytest.mark.parametrize(
    ("act", "code", "detail"),
    [
        (hostile.floods, "body_too_large", "more than 65536 bytes"),
        (says_and_closes(b""), "unreachable", "closed without an answer"),
        (
            says_and_closes(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
            "malformed",
            "before the answer was",
        ),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "malformed", "not HTTP"),
        (says(b"HTTP/1.1 200 OK\r\n" + b"A: " + b"x" * 100_000), "malformed", "not HTTP"),
        (says(http(b"", "302 Found", "Location: http://169.254.169.254/")), "redirect_refused", "status 302"),
        (says(http(b"", "307 Temporary Redirect", "Location: /act")), "redirect_refused", "not followed"),
        (
            says(http(b'{"detail":"no obs"}', "422 Bad")),
            "http_error",
            "status 422; its body begins with '{\"detail",
        ),
        (says(http(b"\x00\xff" * 600, "500 Oops")), "http_error", "status 500"),
        (
            says(http(gzip.compress(b"x" * 10**7), "200 OK", "Content-Encoding: gzip")),
            "malformed",
            "compress",
        ),
        (says(http(b"hello")), "malformed", "not JSON"),
        (says(http(b"[" * 10_000)), "malformed", "not JSON"),
        (says(http(b"")), "malformed", "not JSON"),
        (says(http(b'{"actions":{}}')), "malformed", "action: missing; there are ['actions']"),
        (action('{"gripper":["\\u0000"]}'), "malformed", "gripper[0]: expected a number"),
        (action('{"ee_twist":[NaN,0,0,0,0,0]}'), "non_finite", "NaN is not a finite number"),
        (action('{"ee_twist":[1e999,0,0,0,0,0]}'), "non_finite", "too large"),
        (action('{"ee_twist":[0,0,0]}'), "wrong_shape", "ee_twist: expected 6 numbers, got 3"),
    ],
)
async def test_each_misbehaviour_has_its_code_and_a_detail_that_helps(act: Answer, code: str, detail: str) -> None:
    async with raw_server(act=act) as server:
        failed = await failure(server.url)
    assert failed.code == PolicyFailure(code)
    assert detail in failed.detail


@pytest.mark.parametrize(
    "act",
    [
        hostile.never_answers,
        hostile.drips,
        says(b"HTTP/1.1 200 OK\r\n"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"),
    ],
)
async def test_a_policy_that_is_late_misses_its_deadline(act: Answer) -> None:
    async with raw_server(act=act) as server:
        failed = await failure(server.url, act_ms=200)
    assert failed.code == PolicyFailure.DEADLINE_MISSED
    assert failed.detail == "POST /act: no complete answer within 200 ms"


@pytest.mark.parametrize(
    ("reset", "code"),
    [
        (hostile.never_answers, "deadline_missed"),
        (hostile.floods, "body_too_large"),
        (says(http(b"", "503 Unavailable")), "http_error"),
        (says(http(b"", "301 Moved", "Location: /x")), "redirect_refused"),
    ],
)
async def test_reset_is_bounded_like_act(reset: Answer, code: str) -> None:
    async with raw_server(reset=reset) as server:
        failed = await failure(server.url, reset_ms=300 if code == "deadline_missed" else 30_000)
    assert failed.code == PolicyFailure(code)
    assert "POST /reset" in failed.detail


async def test_an_endless_body_costs_bounded_memory() -> None:
    async with raw_server(act=hostile.floods) as server:
        tracemalloc.start()
        await failure(server.url)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < 16 << 20


async def test_the_byte_limit_can_be_set() -> None:
    async with raw_server(act=says(http(hostile.GOOD_ACTION + b" " * 100))) as server:
        failed = await failure(server.url, body_bytes_max=100)
    assert failed.code == PolicyFailure.BODY_TOO_LARGE


async def test_a_refused_connection_is_tried_again_before_it_counts() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    started_s = time.monotonic()
    failed = await failure(url)
    assert failed.code == PolicyFailure.UNREACHABLE
    assert failed.detail == "no connection: Connection refused"
    assert time.monotonic() - started_s > 0.5, "three pauses of at least 50, 150 and 450 ms"


async def test_a_worker_out_of_sockets_does_not_blame_the_policy() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with raw_server() as server, HttpPolicy(server.url, allow_private_addresses=True) as policy:
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            with pytest.raises(SimulationFailed, match="Too many open files"):
                await policy.reset(TASK, deadline_ms=30_000)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class CountedAttempts(HttpPolicy):
    attempts = 0

    def _new_socket(self, address_info: AddrInfoType) -> socket.socket:
        self.attempts += 1
        return super()._new_socket(address_info)


async def test_retries_stay_within_the_reset_deadline() -> None:
    policy = CountedAttempts(f"http://127.0.0.1:{free_port()}", allow_private_addresses=True)
    async with policy:
        with pytest.raises(PolicyFailed) as caught:
            await policy.reset(TASK, deadline_ms=500)
    assert caught.value.code == PolicyFailure.UNREACHABLE
    assert 1 <= policy.attempts < CONNECT_ATTEMPTS_MAX, "the last one would begin after 650 ms or more"


async def test_a_server_that_starts_a_moment_late_is_reached() -> None:
    port = free_port()
    loop = asyncio.get_running_loop()
    policy = HttpPolicy(f"http://127.0.0.1:{port}", allow_private_addresses=True)
    resetting = asyncio.create_task(policy.reset(TASK, deadline_ms=30_000))
    await asyncio.sleep(0.02)  # the first attempt has been refused by now
    assert not resetting.done()
    server = await loop.create_server(OneAnswer, "127.0.0.1", port)
    await resetting
    await policy.close()
    server.close()


class OneAnswer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(http(b"{}"))


async def test_a_server_without_tls_behind_an_https_endpoint_is_unreachable() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.write(http(b"")), "127.0.0.1", 0)
    failed = await failure(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()
    assert failed.code == PolicyFailure.UNREACHABLE
    assert "TLS" in failed.detail


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1", "address_refused"),
        ("localhost", "address_refused"),
        ("[::ffff:127.0.0.1]", "address_refused"),
        ("0x7f000001", "address_refused"),
        ("127.1", "unreachable"),
        ("2130706433", "unreachable"),
    ],
)
async def test_no_spelling_of_a_private_address_is_connected_to(host: str, code: str) -> None:
    async with raw_server() as server:
        url = re.sub(r"127\.0\.0\.1", lambda _: host, server.url)
        async with HttpPolicy(url) as policy:
            with pytest.raises(PolicyFailed) as caught:
                await policy.reset(TASK, deadline_ms=30_000)
    assert caught.value.code == PolicyFailure(code)
    assert server.connections == 0


async def test_the_metadata_address_is_refused_even_where_private_ones_are_allowed() -> None:
    failed = await failure("http://169.254.169.254")
    assert failed.code == PolicyFailure.ADDRESS_REFUSED
    assert failed.detail == "the endpoint is a link-local address"


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "policy",
        "ftp://host",
        "http://",
        "http://[::1",
        "file:///etc/passwd",
        f"http://{'a' * 70}.example",
    ],
)
async def test_an_endpoint_that_is_no_url_is_unreachable(endpoint: str) -> None:
    failed = await failure(endpoint)
    assert failed.code == PolicyFailure.UNREACHABLE


async def test_the_latency_is_the_policys_own() -> None:
    async def slow(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        writer.write(http(hostile.GOOD_ACTION))

    started_s = time.monotonic()
    async with raw_server(act=slow) as server:
        decision = await reset_and_act(server.url)
    took_ms = (time.monotonic() - started_s) * 1000
    assert 50 - GRACE_S * 1000 <= decision.latency_ms <= took_ms + GRACE_S * 1000


DEPLOYMENT = "95edf2b6-e18b-400a-8398-5573df10e5e4"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"no route to {DEPLOYMENT}.deployments.example", "no route to ..."),
        (f"deployment {DEPLOYMENT} does not exist", "deployment ... does not exist"),
        (f"https://{DEPLOYMENT.upper()}.Deployments.example/act", ".../act"),
        ("nothing of it", "nothing of it"),
    ],
)
def test_what_a_proxy_says_does_not_name_the_deployment(text: str, shown: str) -> None:
    assert concealed(text, f"https://{DEPLOYMENT}.deployments.example") == shown


def test_words_are_not_taken_for_ids() -> None:
    assert concealed("the policy is down", "https://policy.example") == "the policy is down"


def test_no_host_hides_nothing() -> None:
    assert concealed("text", "no url") == concealed("text", "http://[") == concealed("text", "") == "text"


async def test_a_name_at_the_end_of_what_is_shown_is_not_cut_but_hidden() -> None:
    async with raw_server(act=says(http(b"x" * 195 + b"127.0.0.1", "502 Bad Gateway"))) as server:
        failed = await failure(server.url)
    assert failed.detail.endswith("xxx...'")
