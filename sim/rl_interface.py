"""Observation and Action, and the JSON that deployed policies speak.

`POST /act` carries `{"obs": O}` and is answered with `{"action": A}`:

    O = {"rgb": {camera: IMAGE}, "depth": {}, "proprio": {name: [float]},
         "cam_intrinsics": {}, "cam_extrinsics": {}, "extra": {...}}        deployed servers refuse other keys
    IMAGE = {"data": base64 of the raw bytes, "shape": [height, width, 3], "dtype": "uint8"}
    A = {"continuous": {"ee_twist": [6 floats], "gripper": [1 float]}, "discrete": {}, "extra": {}}

Numbers leave as float32. What comes in is hostile until proven otherwise: `decode_action` accepts finite
numbers of the right count and nothing else, brings them into the channel's bounds, and says exactly what it
refused.

WireError
 ├─ Malformed     not the agreed structure
 ├─ NonFinite     NaN, an infinity, or a number that no float can hold
 └─ WrongShape    a channel with another number of values than it has
"""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from sim.spec import PROPRIO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.spec import ActionSpec, Channel

FloatArray = NDArray[np.float32]
Image = NDArray[np.uint8]

EMPTY: Mapping[str, Any] = MappingProxyType({})

NOT_JSON_NUMBER = re.compile(rb"(?<![\w\"])-?(NaN|Infinity)(?![\w\"])")
"""What `json.dumps` of several languages writes for a float that is not finite. It is not JSON."""


class WireError(Exception):
    """A message that does not follow the wire format; `str()` is meant for the sender."""


class Malformed(WireError):
    """Not the agreed structure."""


class NonFinite(WireError):
    """NaN, an infinity, or a number beyond any float."""


class WrongShape(WireError):
    """A channel has another number of values than it should."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a policy is given. Proprioception by `sim.spec.PROPRIO`; images are uint8 (height, width, 3)."""

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


def encode_act_request(observation: Observation) -> bytes:
    """The body of `POST /act`."""
    return orjson.dumps({"obs": _observation_json(observation)}, option=orjson.OPT_SERIALIZE_NUMPY)


def encode_action(action: Action) -> bytes:
    """The answer to `POST /act`, as a policy server gives it."""
    channels = dict(action.channels)
    body = {"action": {"continuous": channels, "discrete": {}, "extra": {}}}
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _observation_json(observation: Observation) -> dict[str, Any]:
    return {
        "rgb": {camera: _image_json(image) for camera, image in observation.rgb.items()},
        "depth": {},
        "proprio": dict(observation.proprio),
        "cam_intrinsics": {},
        "cam_extrinsics": {},
        "extra": dict(observation.extra),
    }


def _image_json(image: Image) -> dict[str, Any]:
    data = base64.b64encode(image.tobytes()).decode("ascii")
    return {"data": data, "shape": list(image.shape), "dtype": "uint8"}


def decode_act_request(body: bytes) -> Observation:
    """The inverse of `encode_act_request`, for policy servers. Arrays in `extra` come back as lists.

    Raises:
        Malformed: not such a body.
    """
    observation = _member(_loads(body), "obs", "")
    proprio = _member(observation, "proprio", "obs.")
    rgb = _member(observation, "rgb", "obs.")
    extra = _member(observation, "extra", "obs.")
    return Observation(
        proprio={
            name: _vector(values, channel, f"obs.proprio.{name}")
            for name, channel in PROPRIO.items()
            if (values := proprio.get(name)) is not None
        },
        rgb={camera: _image(value, f"obs.rgb.{camera}") for camera, value in rgb.items()},
        extra=extra,
    )


def _image(value: object, path: str) -> Image:
    match value:
        case {"data": str(data), "shape": [int(height), int(width), 3], "dtype": "uint8"}:
            pass
        case _:
            raise Malformed(f"{path}: expected data, shape [height, width, 3] and dtype uint8")
    try:
        raw = base64.b64decode(data, validate=True)
        return np.frombuffer(raw, np.uint8).reshape(height, width, 3)
    except ValueError as error:
        raise Malformed(f"{path}: the data is not {height}x{width}x3 bytes in base64: {error}") from error


def decode_action(body: bytes, spec: ActionSpec) -> Action:
    """A policy's answer to `POST /act`.

    Values outside a channel's bounds are brought to the bound. Channels the environment does not have are
    ignored, but an answer that has only such channels is refused: it was meant for another robot, or is a
    misspelling.

    Raises:
        Malformed, NonFinite, WrongShape: with the path, what was expected and what was there.
    """
    continuous = _member(_member(_loads(body), "action", ""), "continuous", "action.")
    known = {name: channel for name, channel in spec.channels.items() if name in continuous}
    if continuous and not known:
        names = ", ".join(sorted(spec.channels))
        raise Malformed(
            f"action.continuous: has none of this environment's channels ({names}), but {_shown(sorted(continuous))}"
        )
    return Action(
        {name: _vector(continuous[name], channel, f"action.continuous.{name}") for name, channel in known.items()}
    )


def _loads(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if found := NOT_JSON_NUMBER.search(body):
            raise NonFinite(f"byte {found.start()}: {found.group().decode()} is not a finite number") from error
        if "infinity" in error.msg:
            raise NonFinite(f"a number is too large: {error}") from error
        raise Malformed(f"the body is not JSON: {error}; it begins with {_shown(body[:80])}") from error


def _member(value: object, key: str, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{path.rstrip('.') or 'the body'}: expected an object, got {_kind(value)}")
    if key not in value:
        raise Malformed(f"{path}{key}: missing; there are {_shown(sorted(value))}")
    member = value[key]
    if not isinstance(member, dict):
        raise Malformed(f"{path}{key}: expected an object, got {_kind(member)}")
    return member


def _vector(value: object, channel: Channel, path: str) -> FloatArray:
    if not isinstance(value, list):
        raise WrongShape(f"{path}: expected a list of {channel.size} numbers, got {_kind(value)}")
    if len(value) != channel.size:
        raise WrongShape(f"{path}: expected {channel.size} numbers, got {len(value)}")
    numbers = [_number(item, f"{path}[{index}]") for index, item in enumerate(value)]
    return np.clip(np.array(numbers, np.float64), channel.minimum, channel.maximum).astype(np.float32)


def _number(value: object, path: str) -> float:
    if isinstance(value, list):
        raise WrongShape(f"{path}: expected a number, got a list")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"{path}: expected a number, got {_kind(value)}")
    if not math.isfinite(value):
        raise NonFinite(f"{path}: {value} is not a finite number")
    return float(value)


def _kind(value: object) -> str:
    match value:
        case None:
            return "null; NaN and infinities are often written so"
        case bool():
            return "a boolean"
        case str():
            return f"the string {_shown(value)}"
        case int() | float():
            return "a number"
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"


def _shown(value: object) -> str:
    """The value's repr, cut to what fits into a sentence."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
