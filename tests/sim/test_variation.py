"""Episodes with variation: each range acts on them, the same seed gives the same one, and nothing stays behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from consumers.simulation.simulator import spec_of
from events.ids import EnvId, Seed
from events.variation import NO_VARIATION, STANDARD, VariationRanges
from sim.cameras import RGB84_1, STATE_1
from sim.episode import EpisodeSpec, run_episode
from sim.metaworld.environment import ROBOT, MetaWorldEnvironment
from sim.randomization import Randomizer
from sim.rendering.renderer import Renderer
from sim.rl_interface import Image
from sim.stage import SimulationThread
from sim.suite import DEFAULT_ENVIRONMENTS, make
from sim.trace import decode_trace, resimulate
from tests.controls import facts
from tests.controls.tasks import task
from tests.sim.in_process import InProcessPolicy, expert, run_expert, twist
from tests.sim.test_randomization import WIDE, only

PUSH = EnvId("metaworld/push-v3")
PICK_PLACE = EnvId("metaworld/pick-place-v3")
DRAWER_OPEN = EnvId("metaworld/drawer-open-v3")

camera = pytest.mark.camera


@pytest.mark.parametrize(
    ("env", "ranges"),
    [
        (PUSH, only(friction_factor=1.3)),
        (PUSH, only(mass_factor=1.3)),
        (DRAWER_OPEN, only(damping_factor=1.5)),
        (DRAWER_OPEN, only(mass_factor=1.3)),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value.model_fields_set - {"name"})),
)
def test_the_same_actions_end_elsewhere(env: EnvId, ranges: VariationRanges) -> None:
    spec = EpisodeSpec(env=env, seed=Seed(9), index=0, profile="state/1")
    actions = expert_actions(env, seed=9)
    plain, varied = resimulate(spec, actions), resimulate(replace(spec, variation=ranges), actions)
    assert plain.variation.items() < varied.variation.items(), "the placement is the same"
    assert plain.final_state_digest != varied.final_state_digest


@pytest.mark.parametrize("ranges", [only(light_factor=10.0, field_of_view_factor=1.5), only(light_shift_m=1.0)])
def test_what_is_only_seen_changes_no_outcome(ranges: VariationRanges) -> None:
    spec = EpisodeSpec(env=PUSH, seed=Seed(9), index=0, profile="state/1")
    actions = expert_actions(PUSH, seed=9)
    plain, varied = resimulate(spec, actions), resimulate(replace(spec, variation=ranges), actions)
    assert replace(varied, variation=plain.variation) == plain


def expert_actions(env: EnvId, *, seed: int) -> np.ndarray:
    environment = make(env, STATE_1, max_steps=500)
    observation, actions = environment.reset(Seed(seed)), []
    while True:
        actions.append(environment.native_action(expert(observation)))
        result = environment.step_native(actions[-1])
        observation = result.observation
        if result.done:
            return np.array(actions)


@pytest.mark.parametrize("env", DEFAULT_ENVIRONMENTS)
def test_a_reused_environment_gives_the_episode_of_a_fresh_one(env: EnvId) -> None:
    fresh = run_expert(make(env, STATE_1, max_steps=500, variation=STANDARD), seed=11)
    reused = make(env, STATE_1, max_steps=500, variation=STANDARD)
    run_expert(reused, seed=12)
    assert run_expert(reused, seed=11) == fresh


@pytest.mark.parametrize("env", DEFAULT_ENVIRONMENTS)
def test_an_episode_without_variation_is_the_same_after_one_with_it(env: EnvId) -> None:
    plain = run_expert(make(env, STATE_1, max_steps=500), seed=11)
    environment = MetaWorldEnvironment(env, STATE_1, max_steps=500, variation=WIDE)
    run_expert(environment, seed=12)
    environment._randomizer.restore()
    environment._randomizer = Randomizer(environment._model, NO_VARIATION, robot=ROBOT)
    assert run_expert(environment, seed=11) == plain


def test_another_process_gives_the_same_episode() -> None:
    code = (
        "import hashlib\n"
        "from events.variation import STANDARD\n"
        "from sim.cameras import STATE_1\n"
        "from sim.suite import make\n"
        "from tests.sim.in_process import run_expert\n"
        "seen = run_expert(make('metaworld/pick-place-v3', STATE_1, max_steps=500, variation=STANDARD), seed=7)\n"
        "print(seen[-1].decode())\n"
    )
    here = run_expert(make(PICK_PLACE, STATE_1, max_steps=500, variation=STANDARD), seed=7)[-1].decode()
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert there.stdout.strip() == here


async def test_an_episode_resimulates_to_the_same_outcome(stage: SimulationThread) -> None:
    spec = EpisodeSpec(env=PUSH, seed=Seed(9), index=0, profile="state/1", variation=STANDARD)
    result = await run_episode(spec, InProcessPolicy(expert), stage)
    assert {"rand_vec_0", "friction_factor", "camera_corner_fov_factor"} <= result.physics.variation.keys()
    assert resimulate(spec, decode_trace(result.trace)) == result.physics


async def test_an_environment_is_not_reused_for_other_ranges(stage: SimulationThread) -> None:
    async with stage.environment(PUSH, "state/1", max_steps=10) as plain:
        pass
    async with stage.environment(PUSH, "state/1", max_steps=10, variation=STANDARD) as varied:
        assert varied is not plain
    async with stage.environment(PUSH, "state/1", max_steps=10, variation=STANDARD.model_copy()) as again:
        assert again is varied


def test_an_episode_varies_within_the_ranges_of_its_cycle() -> None:
    terms = facts.TERMS.model_copy(update={"variation": STANDARD})
    assert spec_of(task(terms=terms)).variation == STANDARD


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    renderer = Renderer()
    yield renderer
    renderer.close()


@camera
@pytest.mark.parametrize(
    "ranges",
    [only(light_factor=1.5), only(light_shift_m=0.2), only(field_of_view_factor=1.05)],
    ids=["light_factor", "light_shift_m", "field_of_view_factor"],
)
def test_the_pictures_change(ranges: VariationRanges, renderer: Renderer) -> None:
    plain, varied = picture(NO_VARIATION, renderer), picture(ranges, renderer)
    changed = np.abs(plain.astype(int) - varied).max(axis=2) > 1
    assert changed.mean() > 0.02


@camera
def test_pictures_of_one_seed_are_the_same_after_another(renderer: Renderer) -> None:
    environment = make(PUSH, RGB84_1, max_steps=10, renderer=renderer, variation=WIDE)
    environment.reset(Seed(4))
    environment.step(twist(1))
    again = environment.reset(Seed(3)).rgb["corner"]
    assert np.array_equal(again, picture(WIDE, renderer))


def picture(ranges: VariationRanges, renderer: Renderer) -> Image:
    environment = make(PUSH, RGB84_1, max_steps=10, renderer=renderer, variation=ranges)
    image = environment.reset(Seed(3)).rgb["corner"]
    environment.close()
    return image
