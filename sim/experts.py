"""Policies of our own, for demonstrations and tests: MetaWorld's scripted expert, a noisy one, a random one.

All are pure functions of one `/act` request. They need no session, so they answer any number of episodes at
once, in any order, the same in every process; noise is drawn from a hash of the request. The experts read the
full state, and so need the `state/1` profile.
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from events.ids import EnvId, split_env_id
from sim.encodings import Encoding, Malformed
from sim.errors import UnknownEnvironment
from sim.rl_interface import Action, FloatArray, decode_act_request
from sim.spec import ARM_ACTION
from sim.suite import find

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

NATIVE_ACTION_SIZE = 4
STATE_SIZE = 39
OBJECT_POSITION = slice(4, 7)
"""Of the task's (first) object, in MetaWorld's state vector."""

NOISE_M = 0.05
"""Of 30 seeds each it still reaches 30, closes drawers 29 and opens doors 26, and does nothing of the other
five default tasks, where an object must be met within centimetres."""


class PolicyKind(StrEnum):
    """The policies there are."""

    EXPERT = "expert"
    NOISY = "noisy"
    RANDOM = "random"


def decide(
    kind: PolicyKind,
    request: bytes,
    encoding: Encoding = Encoding.JSON,
    *,
    seed: int = 0,
    noise_m: float = NOISE_M,
) -> Action:
    """The action of this policy for the body of a `/act` request.

    `seed` tells apart several noisy or random policies. `noise_m` is how far off, as a standard deviation in
    metres on each axis, the noisy expert sees the object; it sees itself and the goal as they are.

    Raises:
        Malformed: not such a body, without the state that experts need, or of an unknown environment.
    """
    observation = decode_act_request(request, encoding)
    if kind is PolicyKind.RANDOM:
        native = _generator(request, seed).uniform(-1.0, 1.0, NATIVE_ACTION_SIZE)
        return _action(native.astype(np.float32))
    env, state = _full_state(observation.extra)
    if kind is PolicyKind.NOISY:
        state[OBJECT_POSITION] += _generator(request, seed).normal(0.0, noise_m, 3)
    return _action(_script(env)(state))


def _full_state(extra: Mapping[str, Any]) -> tuple[EnvId, NDArray[np.float64]]:
    match extra:
        case {"env_id": str(env), "state": list(state)} if len(state) == STATE_SIZE:
            pass
        case _:
            raise Malformed(f"obs.extra: experts need env_id and state, as in state/1; got {sorted(extra)}")
    try:
        return find(env), np.array(state, np.float32).astype(np.float64)  # as sent, in either encoding
    except (UnknownEnvironment, TypeError, ValueError) as error:
        raise Malformed(f"obs.extra: {error}") from error


@functools.cache
def _script(env: EnvId) -> Callable[[Any], FloatArray]:
    """MetaWorld's scripted expert for the task: 39 state values -> native action. Keeps no state."""
    from metaworld.policies import ENV_POLICY_MAP  # loads the simulator, which a random policy can do without

    warnings.filterwarnings("ignore", "Constant.s. may be too high", module="metaworld.policies")
    policy: Any = ENV_POLICY_MAP[split_env_id(env)[1]]
    script: Callable[[Any], FloatArray] = policy().get_action
    return script


def _action(native: FloatArray) -> Action:
    """The wire action that becomes this native one, brought into bounds."""
    bounded = np.clip(native, -1.0, 1.0)
    twist = np.zeros(ARM_ACTION.channels["ee_twist"].size, np.float32)
    twist[:3] = bounded[:3]
    gripper = ((bounded[3:] + 1.0) / 2.0).astype(np.float32)
    return Action({"ee_twist": twist, "gripper": gripper})


def _generator(request: bytes, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}:".encode() + request).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))
