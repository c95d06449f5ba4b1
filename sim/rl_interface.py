"""Observation and Action, and the messages that deployed policies speak.

`POST /act` carries `{"obs": O}` and is answered with `{"action": A}`:

    O = {"rgb": {camera: IMAGE}, "depth": {}, "proprio": {name: [float]},
         "cam_intrinsics": {}, "cam_extrinsics": {}, "extra": {...}}        deployed servers refuse other keys
    IMAGE = {"data": the raw bytes, base64 in JSON, "shape": [height, width, 3], "dtype": "uint8"}
    A = {"continuous": {"ee_twist": [6 floats], "gripper": [1 float]}, "discrete": {}, "extra": {}}

Numbers leave as float32. What comes in is hostile until proven otherwise: `decode_action` accepts finite
numbers of the right count and nothing else, brings them into the channel's bounds, and says exactly what it
refused. `sim.encodings` has the two encodings, and the errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.encodings import Encoding, Malformed, NonFinite, WrongShape, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.spec import ActionSpec, Channel

FloatArray = NDArray[np.float32]
Image = NDArray[np.uint8]

EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Observation:
    """What a policy is given, by the environment's `ObservationSpec`; images are uint8 (height, width, 3)."""

    proprio: Mapping[str, FloatArray]
    rgb: Mapping[str, Image] = field(default_factory=lambda: EMPTY)
    extra: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    """JSON values and float32 arrays; empty in every profile that miners are scored with."""


@dataclass(frozen=True, slots=True)
class Action:
    """Channel -> float32 values, within the bounds of the environment's `ActionSpec`; if missing, zeros."""

    channels: Mapping[str, FloatArray]

    def channel(self, channel: Channel) -> FloatArray:
        values = self.channels.get(channel.name)
        return np.zeros(channel.size, np.float32) if values is None else values


def encode_act_request(observation: Observation, encoding: Encoding = Encoding.JSON) -> bytes:
    """The body of `POST /act`."""
    message = {
        "rgb": {camera: _image_message(image, encoding) for camera, image in observation.rgb.items()},
        "depth": {},
        "proprio": dict(observation.proprio),
        "cam_intrinsics": {},
        "cam_extrinsics": {},
        "extra": dict(observation.extra),
    }
    return encoding.dumps({"obs": message})


def encode_action(action: Action, encoding: Encoding = Encoding.JSON) -> bytes:
    """The answer to `POST /act`, as a policy server gives it."""
    return encoding.dumps({"action": {"continuous": dict(action.channels), "discrete": {}, "extra": {}}})


def _image_message(image: Image, encoding: Encoding) -> dict[str, Any]:
    return {"data": encoding.binary(image.tobytes()), "shape": list(image.shape), "dtype": "uint8"}


def decode_act_request(body: bytes, encoding: Encoding = Encoding.JSON) -> Observation:
    """The inverse of `encode_act_request`, for policy servers. Arrays in `extra` come back as lists.

    Raises:
        Malformed: not such a body.
    """
    observation = _member(encoding.loads(body), "obs", "")
    proprio = _member(observation, "proprio", "obs.")
    rgb = _member(observation, "rgb", "obs.")
    extra = _member(observation, "extra", "obs.")
    return Observation(
        proprio={name: _numbers(values, f"obs.proprio.{name}") for name, values in proprio.items()},
        rgb={camera: _image(value, encoding, f"obs.rgb.{camera}") for camera, value in rgb.items()},
        extra=extra,
    )


def _image(value: object, encoding: Encoding, path: str) -> Image:
    match value:
        case {"data": data, "shape": [int(height), int(width), 3], "dtype": "uint8"}:
            pass
        case _:
            raise Malformed(f"{path}: expected data, shape [height, width, 3] and dtype uint8")
    try:
        return np.frombuffer(encoding.from_binary(data), np.uint8).reshape(height, width, 3)
    except ValueError as error:
        raise Malformed(f"{path}: the data is not {height}x{width}x3 bytes: {error}") from error


def decode_action(body: bytes, spec: ActionSpec, encoding: Encoding = Encoding.JSON) -> Action:
    """A policy's answer to `POST /act`.

    Values outside a channel's bounds are brought to the bound. Channels the environment does not have are
    ignored, but an answer that has only such channels is refused: it was meant for another robot, or is a
    misspelling.

    Raises:
        Malformed, NonFinite, WrongShape: with the path, what was expected and what was there.
    """
    continuous = _member(_member(encoding.loads(body), "action", ""), "continuous", "action.")
    known = {name: channel for name, channel in spec.channels.items() if name in continuous}
    if continuous and not known:
        names = ", ".join(sorted(spec.channels))
        raise Malformed(
            f"action.continuous: has none of this environment's channels ({names}), but {shown(sorted(continuous))}"
        )
    return Action(
        {name: _vector(continuous[name], channel, f"action.continuous.{name}") for name, channel in known.items()}
    )


def _member(value: object, key: str, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{path.rstrip('.') or 'the body'}: expected an object, got {_kind(value)}")
    if key not in value:
        raise Malformed(f"{path}{key}: missing; there are {shown(sorted(value))}")
    member = value[key]
    if not isinstance(member, dict):
        raise Malformed(f"{path}{key}: expected an object, got {_kind(member)}")
    return member


def _vector(value: object, channel: Channel, path: str) -> FloatArray:
    if not isinstance(value, list):
        raise WrongShape(f"{path}: expected a list of {channel.size} numbers, got {_kind(value)}")
    if len(value) != channel.size:
        raise WrongShape(f"{path}: expected {channel.size} numbers, got {len(value)}")
    low, high = channel.minimum, channel.maximum
    return np.array([min(max(_number(item, path, n), low), high) for n, item in enumerate(value)], np.float32)


def _numbers(value: object, path: str) -> FloatArray:
    """Of any count: a policy server knows its robots, we do not."""
    if not isinstance(value, list):
        raise WrongShape(f"{path}: expected a list of numbers, got {_kind(value)}")
    return np.array([_number(item, path, n) for n, item in enumerate(value)], np.float32)


def _number(value: object, path: str, index: int) -> float:
    if isinstance(value, list):
        raise WrongShape(f"{path}[{index}]: expected a number, got a list")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"{path}[{index}]: expected a number, got {_kind(value)}")
    if not math.isfinite(value):
        raise NonFinite(f"{path}[{index}]: {value} is not a finite number")
    return float(value)


def _kind(value: object) -> str:
    match value:
        case None:
            return "null; NaN and infinities are often written so"
        case bool():
            return "a boolean"
        case str():
            return f"the string {shown(value)}"
        case bytes():
            return "binary data"
        case int() | float():
            return "a number"
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"
