from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from events.ids import EnvId, Seed
from sim.cameras import REPLAY_1, RGB84_1
from sim.episode import EpisodeSpec, run_episode
from sim.metaworld.environment import MetaWorldEnvironment
from sim.rendering.opengl import Graphics
from sim.rendering.renderer import Renderer
from sim.rl_interface import decode_act_request, encode_act_request
from sim.stage import SimulationThread
from sim.suite import DEFAULT_ENVIRONMENTS, make
from sim.trace import decode_trace, resimulate
from tests.sim.in_process import InProcessPolicy, twist

PUSH = EnvId("metaworld/push-v3")
REACH = EnvId("metaworld/reach-v3")

camera = pytest.mark.camera


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    renderer = Renderer()
    yield renderer
    renderer.close()


def frames(env: EnvId, renderer: Renderer, *, seed: int = 1, steps: int = 0) -> dict[str, np.ndarray]:
    environment = make(env, RGB84_1, max_steps=500, renderer=renderer)
    observation = environment.reset(Seed(seed))
    for _ in range(steps):
        observation = environment.step(twist(0.5, 0.5, 0.1)).observation
    environment.close()
    return dict(observation.rgb)


def test_a_profile_with_cameras_needs_a_renderer() -> None:
    with pytest.raises(ValueError, match="renderer"):
        make(REACH, RGB84_1, max_steps=10)


@camera
def test_two_different_pictures_of_the_agreed_shape(renderer: Renderer) -> None:
    rgb = frames(REACH, renderer)
    assert list(rgb) == ["corner", "corner2"]
    for image in rgb.values():
        assert (image.shape, image.dtype) == ((84, 84, 3), np.dtype(np.uint8))
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 100, "more than a plain surface"
    assert not np.array_equal(rgb["corner"], rgb["corner2"])


@camera
@pytest.mark.parametrize("name", ["corner", "corner2"])
def test_the_picture_is_upright_and_not_mirrored(name: str, renderer: Renderer) -> None:
    """The green goal is where the camera's geometry, turned by half a turn, puts it."""
    environment = MetaWorldEnvironment(PUSH, RGB84_1, max_steps=10, renderer=renderer)
    red, green, blue = environment.reset(Seed(2)).rgb[name].astype(int).transpose(2, 0, 1)
    goal = np.argwhere((green > 100) & (red < green // 2) & (blue < green // 2)).mean(axis=0)
    model, data = environment._model, environment._data
    expected = projected(model, data, name, data.site("goal").xpos)
    assert np.abs(goal - expected).max() < 1.5
    assert np.abs(83 - 2 * goal).min() > 10, "far enough from the middle to tell the sides apart"


def projected(model: object, data: object, camera: str, point: np.ndarray) -> np.ndarray:
    """Row and column of a point in the camera's picture, turned by half a turn."""
    fovy = np.deg2rad(model.camera(camera).fovy[0])  # type: ignore[attr-defined]
    position = data.camera(camera).xpos  # type: ignore[attr-defined]
    axes = data.camera(camera).xmat.reshape(3, 3)  # type: ignore[attr-defined]
    x, y, z = (point - position) @ axes
    focal = 42 / np.tan(fovy / 2)
    return np.array([41.5 - focal * y / z, 41.5 + focal * x / z])


@camera
def test_the_same_state_gives_the_same_pixels_in_a_fresh_renderer_and_environment(renderer: Renderer) -> None:
    first = frames(PUSH, renderer, steps=5)
    for other in DEFAULT_ENVIRONMENTS[2:5]:
        frames(other, renderer)
    again = frames(PUSH, renderer, steps=5)
    assert all(np.array_equal(first[name], again[name]) for name in first)


@camera
@pytest.mark.parametrize("graphics", ["osmesa", "egl"])
def test_another_process_draws_the_same_pixels(graphics: Graphics, renderer: Renderer) -> None:
    import hashlib

    code = (
        "import hashlib, sys\n"
        "from sim.rendering.renderer import Renderer\n"
        "from sim.errors import GraphicsUnavailable\n"
        "from tests.sim.test_cameras import PUSH, frames\n"
        "try:\n"
        f"    rgb = frames(PUSH, Renderer({graphics!r}), steps=3)\n"
        "except GraphicsUnavailable:\n"
        "    sys.exit('unavailable')\n"
        "print(hashlib.sha256(b''.join(image.tobytes() for image in rgb.values())).hexdigest())\n"
    )
    here = hashlib.sha256(b"".join(image.tobytes() for image in frames(PUSH, renderer, steps=3).values()))
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    if "unavailable" in there.stderr:
        pytest.skip(f"no {graphics} on this machine")
    assert there.stdout.strip() == here.hexdigest(), there.stderr


@camera
def test_the_picture_follows_the_state(renderer: Renderer) -> None:
    before, after = frames(REACH, renderer), frames(REACH, renderer, steps=10)
    assert not np.array_equal(before["corner"], after["corner"])


@camera
@pytest.mark.parametrize("env", DEFAULT_ENVIRONMENTS)
def test_the_first_picture_shows_this_episode_and_not_the_last(env: EnvId, renderer: Renderer) -> None:
    fresh = frames(env, renderer, seed=21)
    environment = make(env, RGB84_1, max_steps=500, renderer=renderer)
    environment.reset(Seed(22))
    environment.step(twist(1))
    reused = environment.reset(Seed(21)).rgb
    assert all(np.array_equal(fresh[name], reused[name]) for name in fresh)


@camera
def test_a_replay_is_large_and_has_shadows(renderer: Renderer) -> None:
    environment = make(PUSH, REPLAY_1, max_steps=10, renderer=renderer)
    rgb = environment.reset(Seed(1)).rgb
    environment.close()
    unlit = make(PUSH, dataclasses.replace(REPLAY_1, shadow_map_px=0), max_steps=10, renderer=renderer)
    plain = unlit.reset(Seed(1)).rgb
    unlit.close()
    assert {image.shape for image in rgb.values()} == {(480, 480, 3)}
    darker = {name: float((rgb[name] + 10.0 < plain[name]).any(axis=-1).mean()) for name in rgb}
    assert min(darker.values()) > 0.01, "shadows lie on part of what is seen"


@camera
async def test_looking_changes_nothing_in_the_physics(stage: SimulationThread) -> None:
    spec = EpisodeSpec(env=PUSH, seed=Seed(4), index=0, profile="rgb84/1", max_steps=30)
    result = await run_episode(spec, InProcessPolicy(lambda _: twist(0.4, 0.3, -0.5, gripper=1)), stage)
    assert resimulate(spec, decode_trace(result.trace)) == result.physics


@camera
def test_a_policy_with_cameras_gets_no_state(renderer: Renderer) -> None:
    environment = make(REACH, RGB84_1, max_steps=10, renderer=renderer)
    observation = environment.reset(Seed(1))
    assert dict(observation.extra) == {}
    assert set(decode_act_request(encode_act_request(observation)).rgb) == {"corner", "corner2"}


def test_an_episode_without_cameras_loads_no_graphics() -> None:
    code = (
        "import asyncio, sys\n"
        "from sim.episode import EpisodeSpec, run_episode\n"
        "from sim.stage import SimulationThread\n"
        "from tests.sim.in_process import InProcessPolicy, expert\n"
        "async def main():\n"
        "    async with SimulationThread() as stage:\n"
        "        spec = dict(env='metaworld/reach-v3', seed=1, index=0, profile='state/1', max_steps=3)\n"
        "        await run_episode(EpisodeSpec(**spec), InProcessPolicy(expert), stage)\n"
        "asyncio.run(main())\n"
        "loaded = [name for name in sys.modules if name.split('.')[0] == 'OpenGL']\n"
        "libraries = ('libGL', 'libEGL', 'libOSMesa')\n"
        "mapped = [line for line in open('/proc/self/maps') if any(name in line for name in libraries)]\n"
        "print(loaded, mapped)\n"
        "sys.exit(bool(loaded or mapped))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_cameras_without_any_opengl_say_what_to_install() -> None:
    code = (
        "from sim.cameras import RGB84_1\n"
        "import sim.rendering.opengl as opengl\n"
        "from sim.rendering.renderer import Renderer\n"
        "opengl.LIBRARIES = {'osmesa': 'libNoOSMesa.so', 'egl': 'libNoEGL.so'}\n"
        "from sim.suite import make\n"
        "try:\n"
        "    make('metaworld/reach-v3', RGB84_1, max_steps=1, renderer=Renderer())\n"
        "except opengl.GraphicsUnavailable as error:\n"
        "    print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, env=dict(os.environ)
    )
    assert "apt-get install libosmesa6" in ran.stdout, ran.stderr
