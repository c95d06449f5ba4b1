"""What a recorded policy saw can be had again, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from events.ids import EnvId, Seed
from events.variation import STANDARD
from sim.episode import EpisodeResult, EpisodeSpec, run_episode
from sim.errors import SimulationFailed
from sim.playing import play
from sim.policy import Decision, TaskConfig
from sim.record import Record, decode_record, encode_record
from sim.rl_interface import Action, Observation
from sim.spec import ActionSpec
from sim.stage import SimulationThread
from sim.trace import decode_trace

STEPS = 12


class Watching:
    """Moves at random, and keeps what it sees."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []
        self._random = np.random.default_rng(3)

    async def reset(self, task: TaskConfig, *, deadline_ms: float) -> None: ...

    async def act(self, observation: Observation, spec: ActionSpec, *, deadline_ms: float) -> Decision:
        self.seen.append(observation)
        channels = spec.channels.values()
        return Decision(
            Action({it.name: self._random.uniform(0, 1, it.size).astype(np.float32) for it in channels}), 1
        )

    async def close(self) -> None: ...


def spec(env: str, profile: str) -> EpisodeSpec:
    return EpisodeSpec(env=EnvId(env), seed=Seed(5), index=2, profile=profile, max_steps=STEPS, variation=STANDARD)


async def recorded(it: EpisodeSpec, stage: SimulationThread) -> tuple[list[Observation], np.ndarray]:
    policy = Watching()
    result = await run_episode(it, policy, stage)
    assert isinstance(result, EpisodeResult)
    return policy.seen, decode_trace(result.trace)


@pytest.mark.parametrize(
    ("env", "profile"),
    [
        ("metaworld/reach-v3", "state/1"),
        ("control/cart-pole-balance-v1", "state/1"),
        pytest.param("metaworld/push-v3", "rgb84/1", marks=pytest.mark.camera),
    ],
)
async def test_the_policy_saw_what_is_played_again_elsewhere(env: str, profile: str) -> None:
    it = spec(env, profile)
    async with SimulationThread() as stage:
        seen, actions = await recorded(it, stage)
    async with SimulationThread() as elsewhere:
        played = await play(it, actions, len(actions) - 1, elsewhere)
    assert len(played.observations) == len(seen) == len(actions)
    for one, two in zip(seen, played.observations, strict=True):
        for name in one.proprio:
            assert np.array_equal(one.proprio[name], two.proprio[name])
        assert one.rgb.keys() == two.rgb.keys()
        assert all(np.array_equal(one.rgb[camera], two.rgb[camera]) for camera in one.rgb)
        assert np.array_equal(one.extra.get("state", []), two.extra.get("state", []))


async def test_it_is_played_only_to_the_step() -> None:
    it = spec("metaworld/reach-v3", "state/1")
    async with SimulationThread() as stage:
        _, actions = await recorded(it, stage)
        assert len((await play(it, actions, 3, stage)).observations) == 4


async def test_a_step_that_was_not_recorded_is_refused() -> None:
    it = spec("metaworld/reach-v3", "state/1")
    async with SimulationThread() as stage:
        _, actions = await recorded(it, stage)
        with pytest.raises(SimulationFailed, match="12 actions were recorded, none at step 12"):
            await play(it, actions, 12, stage)


async def test_an_episode_that_ends_earlier_than_recorded_is_ours() -> None:
    it = spec("metaworld/reach-v3", "state/1")
    async with SimulationThread() as stage:
        _, actions = await recorded(it, stage)
        with pytest.raises(SimulationFailed, match="ends after 12 steps, and recorded were 24"):
            await play(it, np.concatenate([actions, actions]), 20, stage)


async def test_it_tells_the_track_so_far() -> None:
    it = spec("metaworld/reach-v3", "state/1")
    async with SimulationThread() as stage:
        result = await run_episode(it, Watching(), stage)
        played = await play(it, decode_trace(result.trace), 7, stage)
    assert played.track.rewards == result.track.rewards[:7]
    assert played.track.checkpoints == result.track.checkpoints[:1]


@pytest.mark.camera
async def test_the_first_pictures_are_in_the_recording_and_drawn_again() -> None:
    it = spec("metaworld/push-v3", "rgb84/1")
    async with SimulationThread() as stage:
        result = await run_episode(it, Watching(), stage)
        played = await play(it, decode_trace(result.trace), 0, stage)
    record = Record(trace=result.trace, track=result.track, variation=result.physics.variation)
    assert len(result.track.pictures) == 16
    assert decode_record(encode_record(record)).track.pictures == played.track.pictures == result.track.pictures
