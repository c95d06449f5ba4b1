"""Two cameras of one state, against MetaWorld's own way to draw them: `python -m tests.bench.cameras`.

MetaWorld's way is gymnasium's viewer at 84x84, one environment per camera, as `render_mode="rgb_array"` and
`camera_name` give it. Both draw in software on one core, in processes of their own, in this run, the same
states. `--pictures FILE.png` writes what both drew, side by side: MetaWorld's turned upright, ours enlarged
alike.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from events.ids import EnvId, Seed, split_env_id
from sim.cameras import RGB84_1, UNSEEN, Camera
from sim.suite import DEFAULT_ENVIRONMENTS

SEED = Seed(5)
STEPS = 10
"""From the start of the episode to the states that are drawn."""
METAWORLD_FRAMES = 4
OUR_FRAMES = 150
PICTURE_SCALE = 2
NATIVE_ACTION = np.array((0.0, 0.0, 0.0, -1.0), np.float32)

Pictures = dict[str, np.ndarray]
"""By camera."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw two cameras, against MetaWorld's own way.")
    parser.add_argument("--pictures", type=Path, help="write what both drew to this PNG file")
    sheet = parser.parse_args().pictures
    print(f"{'ms per pair of frames, one core':34s}{'MetaWorld':>11s}{'ours':>8s}{'ratio':>8s}   of which")
    rows, own_s, our_s = [], [], []
    for env in DEFAULT_ENVIRONMENTS:
        own = [alone(metaworld, env, camera) for camera in RGB84_1.cameras]
        ours, pictures, split = alone(our_own, env)
        own_s.append(sum(seconds for seconds, _ in own))
        our_s.append(ours)
        rows.append([picture for _, picture in own] + [pictures[camera.name] for camera in RGB84_1.cameras])
        print(row(env, own_s[-1], our_s[-1], split))
    print(row("mean", fmean(own_s), fmean(our_s), {}))
    print(f"pairs of frames per second: {1 / fmean(our_s):.0f}, MetaWorld's own way {1 / fmean(own_s):.1f}")
    print("bound by OpenGL in software: what moves is drawn and read back, the rest is a copy")
    if sheet:
        write_sheet(sheet, rows)


def row(name: str, own_s: float, ours_s: float, split: dict[str, float]) -> str:
    parts = ", ".join(f"{part} {seconds * 1e3:.2f}" for part, seconds in split.items())
    return f"{name:34s}{own_s * 1e3:11.1f}{ours_s * 1e3:8.2f}{own_s / ours_s:8.0f}   {parts}"


def alone(function: Any, *args: Any) -> Any:
    """The function's result, from a process of its own: there is one OpenGL context per process."""
    os.environ.update(LP_NUM_THREADS="0", MUJOCO_GL="osmesa")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def metaworld(env: EnvId, camera: Camera) -> tuple[float, np.ndarray]:
    """Seconds per frame of one camera, and the last frame."""
    from gymnasium.envs.mujoco.mujoco_rendering import MujocoRenderer

    from sim.metaworld.environment import MetaWorldEnvironment

    environment = MetaWorldEnvironment(env, UNSEEN, max_steps=500)
    native = environment._native
    native.render_mode = "rgb_array"
    native.mujoco_renderer = MujocoRenderer(
        native.model, native.data, width=84, height=84, max_geom=1000, camera_name=camera.name
    )
    environment.reset(SEED)
    for _ in range(STEPS):
        environment.step_native(NATIVE_ACTION)
    picture = native.render()  # the first loads meshes and textures
    started_s = time.perf_counter()
    for _ in range(METAWORLD_FRAMES):
        picture = native.render()
    spent_s = (time.perf_counter() - started_s) / METAWORLD_FRAMES
    upright = np.ascontiguousarray(picture[::-1, ::-1])
    native.mujoco_renderer.close()
    return spent_s, upright


def our_own(env: EnvId) -> tuple[float, Pictures, dict[str, float]]:
    """Seconds per pair of frames, the last pair, and how the time is split."""
    from sim.metaworld.environment import MetaWorldEnvironment
    from sim.rendering.renderer import Renderer

    renderer = Renderer("osmesa")
    environment = MetaWorldEnvironment(env, RGB84_1, max_steps=500, renderer=renderer)
    environment.reset(SEED)
    for _ in range(STEPS):
        environment.step_native(NATIVE_ACTION)

    def draw() -> Pictures:
        return dict(renderer.frames(env, RGB84_1, environment._model, environment._data))

    draw()  # in full
    draw()  # with a background made for it
    with measured() as parts_s:
        started_s = time.perf_counter()
        for _ in range(OUR_FRAMES):
            pictures = draw()
        spent_s = (time.perf_counter() - started_s) / OUR_FRAMES
    renderer.close()
    split = {name: seconds / OUR_FRAMES for name, seconds in parts_s.items()}
    split["composition and averaging"] = spent_s - sum(split.values())
    return spent_s, pictures, split


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Seconds spent inside each of MuJoCo's drawing functions."""
    import mujoco

    spent_s: dict[str, float] = defaultdict(float)
    originals = {name: getattr(mujoco, name) for name in ("mjv_updateScene", "mjr_render", "mjr_readPixels")}

    def timed(name: str) -> Any:
        def call(*args: Any) -> None:
            started_s = time.perf_counter()
            originals[name](*args)
            spent_s[name] += time.perf_counter() - started_s

        return call

    for name in originals:
        setattr(mujoco, name, timed(name))
    try:
        yield spent_s
    finally:
        for name, function in originals.items():
            setattr(mujoco, name, function)


def write_sheet(path: Path, rows: list[list[np.ndarray]]) -> None:
    """One line a task: MetaWorld's two cameras, then ours."""
    from PIL import Image, ImageDraw

    side, title = 84 * PICTURE_SCALE, 14
    sheet = Image.new("RGB", (4 * side + 12, title + len(rows) * (side + title)), "white")
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(("MetaWorld corner", "MetaWorld corner2", "rgb84/1 corner", "rgb84/1 corner2")):
        draw.text((column * (side + 4) + 2, 1), name, fill="black")
    for line, (env, pictures) in enumerate(zip(DEFAULT_ENVIRONMENTS, rows, strict=True)):
        top = title + line * (side + title)
        draw.text((2, top + 1), split_env_id(env)[1], fill="black")
        for column, picture in enumerate(pictures):
            enlarged = Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (column * (side + 4), top + title))
    rounded = np.asarray(sheet) // 4 * 4  # nobody sees it, and the file is a third smaller
    Image.fromarray(rounded).save(path, optimize=True)


if __name__ == "__main__":
    main()
