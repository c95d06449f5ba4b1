from __future__ import annotations

import math

import numpy as np
import orjson
import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.encodings import Encoding, Malformed, NonFinite, WireError, WrongShape, advertised
from sim.rl_interface import (
    Action,
    Observation,
    decode_act_request,
    decode_action,
    encode_act_request,
    encode_action,
)
from sim.spec import ARM_ACTION, PROPRIO

OBSERVATION = Observation(
    proprio={name: np.linspace(0, 0.5, channel.size, dtype=np.float32) for name, channel in PROPRIO.items()},
    rgb={"corner": np.arange(84 * 84 * 3, dtype=np.uint8).reshape(84, 84, 3)},
    extra={"note": "hello"},
)


def action_json(**continuous: object) -> bytes:
    return orjson.dumps({"action": {"continuous": continuous}})


@pytest.mark.parametrize("encoding", list(Encoding))
def test_an_observation_survives_the_wire(encoding: Encoding) -> None:
    there = decode_act_request(encode_act_request(OBSERVATION, encoding), encoding)
    assert {name: values.tolist() for name, values in there.proprio.items()} == {
        name: values.tolist() for name, values in OBSERVATION.proprio.items()
    }
    assert np.array_equal(there.rgb["corner"], OBSERVATION.rgb["corner"])
    assert there.extra == {"note": "hello"}


def test_msgpack_has_the_same_structure_with_raw_images() -> None:
    in_json = orjson.loads(encode_act_request(OBSERVATION))
    in_msgpack = ormsgpack.unpackb(encode_act_request(OBSERVATION, Encoding.MSGPACK))
    assert in_msgpack["obs"]["rgb"]["corner"].pop("data") == OBSERVATION.rgb["corner"].tobytes()
    in_json["obs"]["rgb"]["corner"].pop("data")
    assert in_msgpack["obs"]["rgb"] == in_json["obs"]["rgb"]
    assert in_msgpack["obs"]["proprio"].keys() == in_json["obs"]["proprio"].keys()
    assert list(in_msgpack["obs"]) == list(in_json["obs"])


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (b'{"status":"ok","observation_encodings":["msgpack"]}', Encoding.MSGPACK),
        (b'{"observation_encodings":["json","cbor","msgpack"]}', Encoding.MSGPACK),
        (b'{"observation_encodings":["json"]}', Encoding.JSON),
        (b'{"observation_encodings":[]}', Encoding.JSON),
        (b'{"observation_encodings":"msgpack"}', Encoding.JSON),
        (b'{"observation_encodings":{"msgpack":true}}', Encoding.JSON),
        (b'{"observation_encodings":[["msgpack"],null,NaN]}', None),
        (b'{"observation_encodings":[["msgpack"],null,1e300]}', Encoding.JSON),
        (b'{"status":"ok"}', None),
        (b'["msgpack"]', None),
        (b"", None),
        (b"[" * 10_000, None),
    ],
)
def test_only_a_clear_wish_for_msgpack_is_one(answer: bytes, wanted: Encoding | None) -> None:
    assert advertised(answer) is wanted


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("application/msgpack", Encoding.MSGPACK),
        ("Application/X-MsgPack; charset=binary", Encoding.MSGPACK),
        ("application/json", Encoding.JSON),
        ("text/html", Encoding.JSON),
        ("", Encoding.JSON),
    ],
)
def test_the_content_type_names_the_encoding(content_type: str, encoding: Encoding) -> None:
    assert Encoding.of_content_type(content_type) is encoding


def test_the_observation_has_the_agreed_keys_and_no_others() -> None:
    body = orjson.loads(encode_act_request(OBSERVATION))
    assert list(body) == ["obs"]
    assert set(body["obs"]) == {"rgb", "depth", "proprio", "cam_intrinsics", "cam_extrinsics", "extra"}
    assert set(body["obs"]["proprio"]) == {"ee_pos", "ee_quat", "ee_vel_lin", "ee_vel_ang", "gripper"}
    image = body["obs"]["rgb"]["corner"]
    assert (image["shape"], image["dtype"]) == ([84, 84, 3], "uint8")


def test_equal_observations_have_equal_bytes() -> None:
    again = Observation(OBSERVATION.proprio, OBSERVATION.rgb, OBSERVATION.extra)
    assert encode_act_request(again) == encode_act_request(OBSERVATION)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_an_action_survives_the_wire(encoding: Encoding) -> None:
    twist = np.array([0.1, -0.2, 0.3, 0, 0, 0], np.float32)
    action = decode_action(encode_action(Action({"ee_twist": twist}), encoding), ARM_ACTION, encoding)
    assert action.channels["ee_twist"].dtype == np.float32
    assert np.array_equal(action.channels["ee_twist"], twist)


def test_integers_are_accepted_for_floats_and_keys_in_any_order() -> None:
    body = b'{"extra":{},"action":{"extra":{},"continuous":{"gripper":[1],"ee_twist":[1,0,-1,0,0,0]}}}'
    action = decode_action(body, ARM_ACTION)
    assert action.channels["ee_twist"].tolist() == [1, 0, -1, 0, 0, 0]
    assert action.channels["gripper"].tolist() == [1]


def test_values_out_of_bounds_are_brought_to_the_bound() -> None:
    action = decode_action(action_json(ee_twist=[2, -2, 1e300, 0, 0, 0], gripper=[-5]), ARM_ACTION)
    assert action.channels["ee_twist"].tolist() == [1, -1, 1, 0, 0, 0]
    assert action.channels["gripper"].tolist() == [0]


def test_channels_may_be_missing_and_foreign_ones_are_ignored() -> None:
    assert decode_action(action_json(), ARM_ACTION).channels == {}
    action = decode_action(action_json(gripper=[0.5], base_pos=[1, 2]), ARM_ACTION)
    assert set(action.channels) == {"gripper"}


@pytest.mark.parametrize(
    ("body", "error", "detail"),
    [
        (b"", Malformed, "not JSON"),
        (b"\xff\xfe", Malformed, "not JSON"),
        (b"[" * 10_000, Malformed, "not JSON"),
        (b'{"a":' * 10_000, Malformed, "not JSON"),
        (b"[]", Malformed, "the body: expected an object, got a list of 0"),
        (b"{}", Malformed, "action: missing"),
        (b'{"action":[0,0]}', Malformed, "action: expected an object, got a list of 2"),
        (b'{"action":{}}', Malformed, "action.continuous: missing"),
        (b'{"action":{"continuous":null}}', Malformed, "action.continuous: expected an object, got null"),
        (action_json(ee_twsit=[0] * 6), Malformed, "none of this environment's channels (ee_twist, gripper)"),
        (action_json(ee_twist=[0] * 5), WrongShape, "action.continuous.ee_twist: expected 6 numbers, got 5"),
        (action_json(ee_twist=[0] * 9999), WrongShape, "expected 6 numbers, got 9999"),
        (action_json(gripper=0.5), WrongShape, "expected a list of 1 numbers, got a number"),
        (
            action_json(gripper=[[0.5]]),
            WrongShape,
            "action.continuous.gripper[0]: expected a number, got a list",
        ),
        (action_json(gripper=["0.5"]), Malformed, "gripper[0]: expected a number, got the string '0.5'"),
        (action_json(gripper=[True]), Malformed, "gripper[0]: expected a number, got a boolean"),
        (action_json(gripper=[None]), Malformed, "got null; NaN and infinities are often written so"),
        (b'{"action":{"continuous":{"gripper":[NaN]}}}', NonFinite, "NaN is not a finite number"),
        (b'{"action":{"continuous":{"gripper":[-Infinity]}}}', NonFinite, "-Infinity is not a finite number"),
        (b'{"action":{"continuous":{"gripper":[1e999]}}}', NonFinite, "too large"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said_precisely(body: bytes, error: type[WireError], detail: str) -> None:
    with pytest.raises(error) as caught:
        decode_action(body, ARM_ACTION)
    assert type(caught.value) is error
    assert detail in str(caught.value)
    assert len(str(caught.value)) < 300


def action_msgpack(**continuous: object) -> bytes:
    return ormsgpack.packb({"action": {"continuous": continuous}})


@pytest.mark.parametrize(
    ("body", "error", "detail"),
    [
        (b"", Malformed, "not MessagePack"),
        (b'{"action":{}}', Malformed, "the body: expected an object, got a number"),
        (b"\x91" * 10_000 + b"\xc0", Malformed, "not MessagePack: Recursion limit reached"),
        (b"\xdd\xff\xff\xff\xff", Malformed, "not MessagePack"),
        (b"\xdf\xff\xff\xff\xff", Malformed, "not MessagePack"),
        (b"\xc6\xff\xff\xff\xff", Malformed, "not MessagePack"),
        (b"\xdd\x7f\xff\xff\xff" * 900, Malformed, "not MessagePack"),
        (b"\x81\xa6action\xd4\x01\x00", Malformed, "extension types are not accepted"),
        (b"\xd6\xff\x00\x00\x00\x00", Malformed, "extension types are not accepted"),
        (b"\x81\x01\x02", Malformed, "not MessagePack"),
        (b"\x80", Malformed, "action: missing"),
        (ormsgpack.packb({"action": None}), Malformed, "action: expected an object, got null"),
        (action_msgpack(gripper=[math.nan]), NonFinite, "gripper[0]: nan is not a finite number"),
        (action_msgpack(gripper=[-math.inf]), NonFinite, "gripper[0]: -inf is not a finite number"),
        (action_msgpack(gripper=[b"\x00"]), Malformed, "gripper[0]: expected a number, got binary data"),
        (
            action_msgpack(ee_twist=b"\x00" * 24),
            WrongShape,
            "ee_twist: expected a list of 6 numbers, got binary data",
        ),
        (action_msgpack(ee_twist=[0] * 5), WrongShape, "action.continuous.ee_twist: expected 6 numbers, got 5"),
    ],
)
def test_what_is_wrong_with_a_msgpack_answer_is_said_as_precisely(
    body: bytes, error: type[WireError], detail: str
) -> None:
    with pytest.raises(error) as caught:
        decode_action(body, ARM_ACTION, Encoding.MSGPACK)
    assert type(caught.value) is error
    assert detail in str(caught.value)
    assert len(str(caught.value)) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=7)
        | st.dictionaries(st.sampled_from(["action", "continuous", "ee_twist", "gripper", "x"]), inner)
    ),
)


@given(JSON, st.lists(st.floats() | st.integers(), min_size=6, max_size=6), JSON)
def test_whatever_comes_in_what_goes_out_is_finite_and_within_bounds(
    anything: object, twist: list[float], gripper: object
) -> None:
    import json

    for value in (anything, {"action": {"continuous": {"ee_twist": twist, "gripper": gripper}}}):
        try:
            action = decode_action(json.dumps(value).encode(), ARM_ACTION)
        except WireError:
            continue
        for name, values in action.channels.items():
            channel = ARM_ACTION.channels[name]
            assert values.shape == (channel.size,)
            assert all(math.isfinite(x) and channel.minimum <= x <= channel.maximum for x in values)


@given(st.binary(max_size=200), st.sampled_from(Encoding))
def test_random_bytes_are_refused_and_never_crash(body: bytes, encoding: Encoding) -> None:
    with pytest.raises(WireError):
        decode_action(body, ARM_ACTION, encoding)


@pytest.mark.parametrize(
    "image",
    [
        {"data": "AAAA", "shape": [84, 84, 3], "dtype": "uint8"},
        {"data": "????", "shape": [1, 1, 3], "dtype": "uint8"},
        {"data": "AAAA", "shape": [1, 1, 3], "dtype": "float64"},
        {"data": "AAAA", "shape": [-1, -1, 3], "dtype": "uint8"},
        "AAAA",
    ],
)
def test_an_image_that_is_not_one_is_refused(image: object) -> None:
    body = orjson.dumps({"obs": {"rgb": {"corner": image}, "proprio": {}, "extra": {}}})
    with pytest.raises(Malformed, match=r"obs\.rgb\.corner"):
        decode_act_request(body)


@pytest.mark.parametrize(
    "image",
    [
        {"data": b"\x00" * 4, "shape": [84, 84, 3], "dtype": "uint8"},
        {"data": "AAAA", "shape": [1, 1, 3], "dtype": "uint8"},
        {"data": [0, 0, 0], "shape": [1, 1, 3], "dtype": "uint8"},
        {"data": b"\x00" * 24, "shape": [1, 1, 3], "dtype": "float64"},
    ],
)
def test_a_msgpack_image_that_is_not_one_is_refused(image: object) -> None:
    body = ormsgpack.packb({"obs": {"rgb": {"corner": image}, "proprio": {}, "extra": {}}})
    with pytest.raises(Malformed, match=r"obs\.rgb\.corner"):
        decode_act_request(body, Encoding.MSGPACK)
