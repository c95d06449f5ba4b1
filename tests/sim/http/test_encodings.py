"""Which policies are sent MessagePack, and that finding out never counts against one."""

from __future__ import annotations

import numpy as np
import ormsgpack
import pytest

from events.ids import EnvId
from sim.encodings import Encoding
from sim.http import policy as http_policy
from sim.http.policy import HttpPolicy
from sim.policy import PolicyFailed, PolicyFailure, TaskConfig
from sim.rl_interface import Observation, decode_act_request
from sim.spec import ARM_ACTION
from tests.sim.http import hostile
from tests.sim.http.hostile import Answer, RawServer, http, raw_server, says, says_and_closes

TASK = TaskConfig(EnvId("metaworld/push-v3"), 7)
BLIND = Observation({})
SEEING = Observation({}, {"corner": np.arange(84 * 84 * 3, dtype=np.uint8).reshape(84, 84, 3)})
ASKS = says(http(b'{"observation_encodings":["msgpack"]}'))
ASKS_FOR_JSON = says(http(b'{"observation_encodings":["json"]}'))
GOOD_MSGPACK = ormsgpack.packb({"action": {"continuous": {"gripper": [0.25]}}})


async def episode(server: RawServer, observation: Observation = SEEING, *, steps: int = 1) -> list[str]:
    """The content types of the acts."""
    before = len(server.requests)
    async with HttpPolicy(server.url, allow_private_addresses=True) as policy:
        await policy.reset(TASK, deadline_ms=30_000)
        for _ in range(steps):
            await policy.act(observation, ARM_ACTION, deadline_ms=30_000)
    return [headers["content-type"] for path, headers, _ in server.requests[before:] if path == "/act"]


def asked_health(server: RawServer) -> int:
    return sum(path == "/health" for path, _, _ in server.requests)


async def test_a_policy_that_asks_when_reset_gets_raw_images() -> None:
    async with raw_server(reset=ASKS) as server:
        assert await episode(server) == ["application/msgpack"]
    assert asked_health(server) == 0
    sent = decode_act_request(server.requests[-1][2], Encoding.MSGPACK)
    assert np.array_equal(sent.rgb["corner"], SEEING.rgb["corner"])


async def test_a_policy_that_asks_in_its_health_gets_raw_images() -> None:
    async with raw_server(health=ASKS) as server:
        assert await episode(server, steps=2) == ["application/msgpack"] * 2
    assert asked_health(server) == 1
    assert server.connections == 1


async def test_the_answer_to_reset_decides() -> None:
    async with raw_server(reset=ASKS_FOR_JSON, health=ASKS) as server:
        assert await episode(server) == ["application/json"]


@pytest.mark.parametrize("speak", list(Encoding))
async def test_whoever_tries_a_policy_may_choose(speak: Encoding) -> None:
    async with (
        raw_server(reset=ASKS) as server,
        HttpPolicy(server.url, allow_private_addresses=True, speak=speak) as policy,
    ):
        await policy.reset(TASK, deadline_ms=30_000)
        await policy.act(SEEING, ARM_ACTION, deadline_ms=30_000)
    assert server.requests[-1][1]["content-type"] == speak.content_type
    assert policy.encoding is Encoding.MSGPACK


async def test_a_health_that_fails_says_why_to_whoever_asks() -> None:
    async with raw_server() as server, HttpPolicy(server.url, allow_private_addresses=True) as policy:
        with pytest.raises(PolicyFailed) as failed:
            await policy.health()
    assert failed.value.code is PolicyFailure.HTTP_ERROR


async def test_a_silent_policy_is_asked_once_for_many_episodes() -> None:
    async with raw_server() as server:
        for _ in range(3):
            assert await episode(server) == ["application/json"]
    assert asked_health(server) == 1


async def test_without_images_nothing_is_asked_and_json_is_sent() -> None:
    async with raw_server(health=ASKS) as server:
        assert await episode(server, BLIND) == ["application/json"]
    assert asked_health(server) == 0


@pytest.mark.parametrize(
    "health",
    [
        says_and_closes(b""),
        hostile.floods,
        says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        says(http(b"", "302 Found", "Location: http://169.254.169.254/")),
        says(http(b"", "500 Oops")),
        says(http(b"[" * 10_000)),
        hostile.never_answers,
    ],
)
async def test_a_bad_health_does_not_count_against_the_policy(
    health: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_policy, "HEALTH_S", 0.2)
    async with raw_server(health=health) as server:
        assert await episode(server) == ["application/json"]


@pytest.mark.parametrize("content_type", ["application/msgpack", "application/x-msgpack; charset=binary"])
async def test_a_msgpack_answer_is_understood(content_type: str) -> None:
    act = says(http(GOOD_MSGPACK, "200 OK", f"Content-Type: {content_type}"))
    async with raw_server(act=act) as server, HttpPolicy(server.url, allow_private_addresses=True) as policy:
        await policy.reset(TASK, deadline_ms=30_000)
        decision = await policy.act(BLIND, ARM_ACTION, deadline_ms=30_000)
    assert decision.action.channels["gripper"].tolist() == [0.25]


async def test_a_bad_msgpack_answer_is_the_policys_failure() -> None:
    body = ormsgpack.packb({"action": {"continuous": {"gripper": [float("nan")]}}})
    bad = http(body, "200 OK", "Content-Type: application/msgpack")
    async with raw_server(act=says(bad)) as server:
        with pytest.raises(PolicyFailed) as caught:
            await episode(server)
    assert caught.value.code == PolicyFailure.NON_FINITE
    assert caught.value.detail == "POST /act: action.continuous.gripper[0]: nan is not a finite number"
