from __future__ import annotations

import aiohttp
import orjson
import pytest

from events.ids import EnvId, Seed
from sim.cameras import STATE_1
from sim.encodings import Encoding, Malformed, advertised
from sim.experts import PolicyKind, decide
from sim.http.server import PolicyServer
from sim.rl_interface import Observation, decode_action, encode_act_request
from sim.spec import ARM_ACTION
from sim.suite import make

RESET = {"task_config": {"env_id": "metaworld/reach-v3", "task_id": 7}}


def request_body(env: str = "metaworld/reach-v3") -> bytes:
    return encode_act_request(make(EnvId(env), STATE_1, max_steps=10).reset(Seed(1)))


async def test_the_server_speaks_the_wire_format(expert_server: PolicyServer) -> None:
    async with aiohttp.ClientSession(expert_server.url) as client:
        health = await (await client.get("/health")).json()
        assert (health["status"], health["model_loaded"]) == ("healthy", True)
        reset = await (await client.post("/reset", json=RESET)).json()
        assert reset["status"] == "ok"
        answer = await (await client.post("/act", data=request_body())).json()
    continuous = answer["action"]["continuous"]
    assert len(continuous["ee_twist"]) == 6
    assert len(continuous["gripper"]) == 1
    assert all(-1 <= x <= 1 for x in continuous["ee_twist"])


@pytest.mark.parametrize("path", ["/reset", "/health"])
async def test_the_server_asks_for_msgpack(expert_server: PolicyServer, path: str) -> None:
    async with aiohttp.ClientSession(expert_server.url) as client:
        response = await (client.post(path, json=RESET) if path == "/reset" else client.get(path))
        assert advertised(await response.read()) is Encoding.MSGPACK


async def test_an_answer_has_the_encoding_of_its_request() -> None:
    actions = []
    async with PolicyServer(PolicyKind.EXPERT) as server, aiohttp.ClientSession(server.url) as client:
        for encoding in Encoding:
            observation = make(EnvId("metaworld/reach-v3"), STATE_1, max_steps=10).reset(Seed(1))
            headers = {"Content-Type": encoding.content_type}
            response = await client.post("/act", data=encode_act_request(observation, encoding), headers=headers)
            assert response.content_type == encoding.content_type
            actions.append(decode_action(await response.read(), ARM_ACTION, encoding))
    assert str(actions[0]) == str(actions[1]), "an expert decides the same, however it was asked"


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/reset", b"x", 400, "not JSON"),
        ("/reset", b"{}", 422, "task_config"),
        ("/act", b"x", 422, "not JSON"),
        ("/act", b"{}", 422, "obs: missing"),
        ("/act", b'{"obs":{"rgb":{},"proprio":{},"extra":{}}}', 422, "state/1"),
    ],
)
async def test_a_wrong_request_is_answered_with_what_is_wrong(
    expert_server: PolicyServer, path: str, body: bytes, status: int, says: str
) -> None:
    async with aiohttp.ClientSession(expert_server.url) as client:
        response = await client.post(path, data=body)
        assert response.status == status
        assert says in (await response.json())["error"]


def test_the_random_policy_needs_no_state_and_answers_every_family() -> None:
    body = encode_act_request(Observation({}))
    channels = decide(PolicyKind.RANDOM, body).channels
    assert channels.keys() == {"ee_twist", "gripper", "joint_torque", "cart_force"}


@pytest.mark.parametrize("kind", list(PolicyKind))
def test_a_policy_is_a_function_of_the_request(kind: PolicyKind) -> None:
    body = request_body()
    assert orjson.dumps(str(decide(kind, body))) == orjson.dumps(str(decide(kind, body)))


@pytest.mark.parametrize("kind", [PolicyKind.NOISY, PolicyKind.RANDOM])
def test_another_seed_is_another_policy(kind: PolicyKind) -> None:
    body = request_body("metaworld/push-v3")
    assert str(decide(kind, body, seed=1)) != str(decide(kind, body, seed=2))


def test_without_noise_the_noisy_expert_is_the_expert() -> None:
    body = request_body("metaworld/push-v3")
    assert str(decide(PolicyKind.NOISY, body, noise_m=0)) == str(decide(PolicyKind.EXPERT, body))


@pytest.mark.parametrize(
    "extra", [{}, {"env_id": "metaworld/push-v3", "state": [0.0]}, {"env_id": "x", "state": [0.0] * 39}]
)
def test_an_expert_that_lacks_the_state_says_so(extra: dict[str, object]) -> None:
    with pytest.raises(Malformed, match=r"obs\.extra"):
        decide(PolicyKind.EXPERT, encode_act_request(Observation({}, extra=extra)))
