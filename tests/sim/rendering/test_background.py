"""A picture composed over a background is the full picture, to the pixel, whatever happens to the scene."""

from __future__ import annotations

import dataclasses
import gc
import os
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace

import mujoco
import numpy as np
import pytest

from events.ids import EnvId, Seed
from sim.cameras import RGB84_1, Camera, ObservationProfile
from sim.metaworld.environment import MetaWorldEnvironment
from sim.rendering.renderer import Renderer
from sim.rl_interface import Image
from sim.suite import ENVIRONMENTS
from tests.sim.in_process import expert, twist

pytestmark = pytest.mark.camera

COMPOSED = dataclasses.replace(RGB84_1, full_state=True)
FULL = dataclasses.replace(COMPOSED, static_background=False)
PUSH, REACH, WINDOW = (EnvId(f"metaworld/{task}-v3") for task in ("push", "reach", "window-open"))
SAMPLE = [
    EnvId(f"metaworld/{task}-v3")
    for task in ("door-open", "drawer-close", "button-press-topdown", "peg-insert-side", "window-open", "box-close")
]
TASKS = list(ENVIRONMENTS) if os.environ.get("KINITRO_TESTS_LONG") == "1" else SAMPLE


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    renderer = Renderer()
    yield renderer
    renderer.close()


def opened(env: EnvId, renderer: Renderer, *, seed: int = 1) -> MetaWorldEnvironment:
    environment = MetaWorldEnvironment(env, COMPOSED, max_steps=500, renderer=renderer)
    renderer.prepare(env, FULL, environment._model, upside_down=True)
    environment.reset(Seed(seed))
    return environment


def drawn(environment: MetaWorldEnvironment, renderer: Renderer, profile: ObservationProfile) -> dict[str, Image]:
    return dict(renderer.frames(environment.env, profile, environment._model, environment._data))


def assert_same(seen: Mapping[str, Image], expected: Mapping[str, Image]) -> None:
    assert list(seen) == list(expected)
    different = {name: int((seen[name] != expected[name]).any(axis=-1).sum()) for name in expected}
    assert not any(different.values()), f"pixels that differ: {different}"


@pytest.mark.parametrize("env", TASKS)
def test_along_an_experts_episode_every_picture_is_the_full_one(env: EnvId, renderer: Renderer) -> None:
    environment = MetaWorldEnvironment(env, COMPOSED, max_steps=150, renderer=renderer)
    renderer.prepare(env, FULL, environment._model, upside_down=True)
    for seed in (1, 2):  # two, for what the first leaves behind
        observation = environment.reset(Seed(seed))
        assert_same(observation.rgb, drawn(environment, renderer, FULL))
        done = False
        while not done:
            result = environment.step(expert(observation))
            observation, done = result.observation, result.done
            assert_same(observation.rgb, drawn(environment, renderer, FULL))
    environment.close()


@pytest.mark.parametrize("env", TASKS)
def test_tasks_are_composed_unless_something_is_seen_through(env: EnvId, renderer: Renderer) -> None:
    environment = opened(env, renderer)
    for _ in range(5):
        environment.step(twist(0.3, 0.3, -0.3))
    (backgrounds,) = (
        kept for view in renderer._views.values() for model, kept in view._backgrounds.items()
        if model is environment._model
    )  # fmt: skip
    assert bool(backgrounds._drawn) == ("window" not in env)
    environment.close()


def test_environments_that_take_turns_do_not_see_each_others_background(renderer: Renderer) -> None:
    seeds = range(4)
    environments = [opened(SAMPLE[0], renderer, seed=seed) for seed in seeds]
    taking_turns: list[list[Mapping[str, Image]]] = [[] for _ in seeds]
    for _ in range(4):
        for pictures, environment in zip(taking_turns, environments, strict=True):
            pictures.append(environment.step(twist(0.5, 0.2, -0.4)).observation.rgb)
    for seed, pictures in zip(seeds, taking_turns, strict=True):
        alone = opened(SAMPLE[0], renderer, seed=seed)
        for picture in pictures:
            assert_same(picture, alone.step(twist(0.5, 0.2, -0.4)).observation.rgb)
        alone.close()
    for environment in environments:
        environment.close()


def move_the_walls(model: mujoco.MjModel) -> None:
    model.geom_pos[walls(model)] += 0.2


def move_the_goal(model: mujoco.MjModel) -> None:
    model.site_pos[model.site("goal").id] += (0.05, 0.0, 0.05)


def recolour(model: mujoco.MjModel) -> None:
    model.mat_rgba[:, :3] *= 0.5


def make_glass(model: mujoco.MjModel) -> None:
    model.geom_matid[walls(model)] = -1
    model.geom_rgba[walls(model)] = (0.2, 0.9, 0.2, 0.4)


def hide_the_walls(model: mujoco.MjModel) -> None:
    model.geom_group[walls(model)] = 4


def dim_the_lights(model: mujoco.MjModel) -> None:
    model.light_diffuse[:] *= 0.3


def move_the_lights(model: mujoco.MjModel) -> None:
    model.light_pos[:] += 1.0
    model.light_dir[:] = (0.6, 0.0, -0.8)


def dim_the_headlight(model: mujoco.MjModel) -> None:
    model.vis.headlight.ambient[:] = 0.0
    model.vis.headlight.diffuse[:] = 0.05


def zoom(model: mujoco.MjModel) -> None:
    model.cam_fovy[:] *= 0.8


def shift_the_cameras(model: mujoco.MjModel) -> None:
    model.cam_pos[:] += 0.05


def walls(model: mujoco.MjModel) -> np.ndarray:
    """The visible boxes that cannot move: MetaWorld's table."""
    return np.flatnonzero(
        (model.body_weldid[model.geom_bodyid] == 0)
        & (model.geom_type == mujoco.mjtGeom.mjGEOM_BOX)
        & (model.geom_group < 3)
        & (model.geom_rgba[:, 3] == 1)
    )


CHANGES = (
    move_the_walls,
    move_the_goal,
    recolour,
    make_glass,
    hide_the_walls,
    dim_the_lights,
    move_the_lights,
    dim_the_headlight,
    zoom,
    shift_the_cameras,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_in_the_middle_of_an_episode_is_seen(
    change: Callable[[mujoco.MjModel], None], renderer: Renderer
) -> None:
    environment = opened(REACH, renderer)
    model, data = environment._model, environment._data
    for _ in range(3):
        before = drawn(environment, renderer, COMPOSED)
    headlight = model.vis.headlight.ambient.copy(), model.vis.headlight.diffuse.copy()
    change(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_camlight(model, data)
    expected = drawn(environment, renderer, FULL)
    assert not np.array_equal(before["corner"], expected["corner"]), "a change that nobody can see proves nothing"
    for _ in range(3):
        assert_same(drawn(environment, renderer, COMPOSED), expected)
    model.vis.headlight.ambient[:], model.vis.headlight.diffuse[:] = headlight
    environment.close()


def test_a_closed_environment_leaves_no_background(renderer: Renderer) -> None:
    environment = opened(PUSH, renderer)
    environment.step(twist())
    view = renderer._views[PUSH, COMPOSED]
    kept = len(view._backgrounds)
    environment.close()
    assert len(view._backgrounds) == kept - 1


def test_an_environment_that_was_dropped_leaves_no_background(renderer: Renderer) -> None:
    environment = opened(PUSH, renderer)
    view = renderer._views[PUSH, COMPOSED]
    kept = len(view._backgrounds)
    del environment
    gc.collect()
    assert len(view._backgrounds) == kept - 1


OWN_MODEL = """
<mujoco>
  <worldbody>
    <light pos="0 0 3"/>
    <camera name="front" pos="0 -2 0" xyaxes="1 0 0 0 0 1" fovy="45"/>
    <geom type="box" size="0.9 0.05 0.05" pos="0 0.5 0" rgba="0.5 0.5 0.5 1"/>
    <geom type="sphere" size="0.2" pos="0 0 0.5" rgba="1 0 0 1"/>
    <body name="guided" mocap="true" pos="-0.5 0 0"><geom type="sphere" size="0.2" rgba="0 0 1 1"/></body>
    <body><joint type="slide" axis="1 0 0"/><geom type="box" size="0.1 0.1 0.4" rgba="0 1 0 1"/></body>
  </worldbody>
</mujoco>
"""
FRONT = ObservationProfile("front/1", (Camera("front", 45.0),), 64, supersampling=2, static_background=True)


@pytest.fixture
def own() -> SimpleNamespace:
    model = mujoco.MjModel.from_xml_string(OWN_MODEL)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return SimpleNamespace(model=model, data=data)


def test_any_model_is_drawn_upright(own: SimpleNamespace, renderer: Renderer) -> None:
    renderer.prepare("own", FRONT, own.model)
    image = renderer.frames("own", FRONT, own.model, own.data)["front"].astype(int)
    red = np.argwhere(image[..., 0] > image[..., 1:].max(axis=-1) + 60)
    blue = np.argwhere(image[..., 2] > image[..., :2].max(axis=-1) + 60)
    assert red[:, 0].mean() < 20, "the red sphere is above the middle"
    assert blue[:, 1].mean() < 24, "the blue sphere is to the left"


def test_cameras_that_hang_upside_down_are_turned(own: SimpleNamespace, renderer: Renderer) -> None:
    renderer.prepare("own", FRONT, own.model)
    renderer.prepare("hanging", FRONT, own.model, upside_down=True)
    upright = renderer.frames("own", FRONT, own.model, own.data)["front"]
    turned = renderer.frames("hanging", FRONT, own.model, own.data)["front"]
    assert np.array_equal(turned, upright[::-1, ::-1])


def test_a_guided_body_is_followed_although_physics_calls_it_static(own: SimpleNamespace, renderer: Renderer) -> None:
    full = dataclasses.replace(FRONT, static_background=False)
    renderer.prepare("own", FRONT, own.model)
    for x in (-0.5, -0.5, -0.5, -0.2, 0.1, 0.1, 0.1):
        own.data.mocap_pos[0, 0] = x
        own.data.qpos[0] += 0.05
        mujoco.mj_forward(own.model, own.data)
        assert_same(
            renderer.frames("own", FRONT, own.model, own.data), renderer.frames("own", full, own.model, own.data)
        )
