"""Policies of our own, for demonstrations and tests: each task's scripted expert, a noisy one, a random one.

All are pure functions of one `/act` request. They need no session, so they answer any number of episodes at
once, in any order, the same in every process; noise is drawn from a hash of the request. The experts read the
full state, and so need the `state/1` profile.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from events.ids import split_env_id
from sim.encodings import Encoding, Malformed
from sim.errors import UnknownEnvironment
from sim.rl_interface import Action, decode_act_request
from sim.suite import FAMILIES, find

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.family import Expert, State

NOISE_M = 0.05
"""Of 30 seeds each of MetaWorld's default tasks it still reaches 30, closes drawers 29 and opens doors 26, and does
nothing of the other five, where an object must be met within centimetres."""


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
    metres on each axis, the noisy expert sees the object (radians on the angle of a pole); it sees the rest as it is.

    Raises:
        Malformed: not such a body, without the state that experts need, or of an unknown environment.
    """
    observation = decode_act_request(request, encoding)
    if kind is PolicyKind.RANDOM:
        return _random(_generator(request, seed))
    expert, state = _full_state(observation.extra)
    if kind is PolicyKind.NOISY:
        seen = state[expert.seen]
        seen += _generator(request, seed).normal(0.0, noise_m, seen.shape)
    return expert.act(state)


def _full_state(extra: Mapping[str, Any]) -> tuple[Expert, State]:
    match extra:
        case {"env_id": str(env), "state": list(state)}:
            pass
        case _:
            raise Malformed(f"obs.extra: experts need env_id and state, as in state/1; got {sorted(extra)}")
    try:
        family, task = split_env_id(find(env))
        expert = FAMILIES[family].expert(task)
        numbers = np.array(state, np.float32).astype(np.float64)  # as sent, in either encoding
    except (UnknownEnvironment, TypeError, ValueError) as error:
        raise Malformed(f"obs.extra: {error}") from error
    if numbers.shape != (expert.state_size,):
        raise Malformed(f"obs.extra.state: expected {expert.state_size} numbers, got the shape {numbers.shape}")
    return expert, numbers


def _random(generator: np.random.Generator) -> Action:
    """Without the state it cannot know where it is: environments ignore the channels that they lack."""
    channels = [channel for family in FAMILIES.values() for channel in family.actions]
    return Action(
        {
            channel.name: generator.uniform(channel.minimum, channel.maximum, channel.size).astype(np.float32)
            for channel in channels
        }
    )


def _generator(request: bytes, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}:".encode() + request).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))
