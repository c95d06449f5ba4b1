from __future__ import annotations

import hashlib

import numpy as np
import pytest

from events.ids import EnvId, Seed
from sim.episode import EpisodeSpec, run_episode
from sim.errors import InvalidTrace
from sim.stage import SimulationThread
from sim.trace import decode_trace, encode_trace, resimulate
from tests.sim.in_process import InProcessPolicy, expert, twist

SPEC = EpisodeSpec(env=EnvId("metaworld/drawer-open-v3"), seed=Seed(9), index=0, profile="state/1")
ACTIONS = np.array([[0, 1, -1, 0.5], [1, 0, 0, -1]], np.float32)


async def test_a_trace_resimulates_to_the_identical_outcome(stage: SimulationThread) -> None:
    result = await run_episode(SPEC, InProcessPolicy(expert), stage)
    assert result.physics.success
    assert resimulate(SPEC, decode_trace(result.trace)) == result.physics


async def test_a_truncated_episode_resimulates_too(stage: SimulationThread) -> None:
    from dataclasses import replace

    short = replace(SPEC, max_steps=20)
    result = await run_episode(short, InProcessPolicy(lambda _: twist(0.1, 0.2, -0.3, gripper=1)), stage)
    assert result.physics.truncated
    assert resimulate(short, decode_trace(result.trace)) == result.physics


async def test_one_changed_action_changes_the_outcome(stage: SimulationThread) -> None:
    result = await run_episode(SPEC, InProcessPolicy(expert), stage)
    actions = decode_trace(result.trace)
    actions[3, 0] += 0.01
    forged = resimulate(SPEC, actions)
    assert forged.action_digest != result.physics.action_digest
    assert forged.final_state_digest != result.physics.final_state_digest


async def test_actions_appended_after_the_end_show(stage: SimulationThread) -> None:
    result = await run_episode(SPEC, InProcessPolicy(expert), stage)
    actions = decode_trace(result.trace)
    assert resimulate(SPEC, np.vstack([actions, actions[:1]])).steps == len(actions)


async def test_the_action_digest_can_be_computed_by_anyone(stage: SimulationThread) -> None:
    result = await run_episode(SPEC, InProcessPolicy(expert), stage)
    anyones = hashlib.sha256(result.trace[16:]).hexdigest()
    assert anyones == result.physics.action_digest


def test_a_trace_survives_encoding() -> None:
    assert np.array_equal(decode_trace(encode_trace(ACTIONS)), ACTIONS)


def test_an_empty_trace_survives_encoding() -> None:
    assert decode_trace(encode_trace(np.empty((0, 0), np.float32))).shape == (0, 0)


@pytest.mark.parametrize(
    "broken",
    [b"", b"KTRACE1\n", b"KTRACE9\n" + bytes(8), encode_trace(ACTIONS)[:-1], encode_trace(ACTIONS) + b"\0"],
)
def test_what_is_no_trace_is_refused(broken: bytes) -> None:
    with pytest.raises(InvalidTrace):
        decode_trace(broken)
