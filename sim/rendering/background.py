"""The part of an episode's pictures that stays, drawn once, and what moves laid over it by depth.

A background is never assumed to hold: before each use it is compared with what decides it, value by value. So
nobody has to say when an episode begins, environments can share a renderer in any order, and whatever a task
moves or recolours in the middle of an episode is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mujoco import MjData, MjModel

    from sim.rendering.scene import Contents, Depths, Pixels, Scene

PIXEL = np.dtype("V3")
"""Red, green and blue moved as one value: three times as fast."""


@dataclass(frozen=True, slots=True)
class Background:
    """One camera's picture of what does not move."""

    pixels: Pixels
    depths: Depths

    def under(self, pixels: Pixels, depths: Depths) -> Pixels:
        """What moves, in front of this."""
        nearer = np.flatnonzero(depths > self.depths)
        picture = self.pixels.copy()
        picture.view(PIXEL).ravel()[nearer] = pixels.view(PIXEL).ravel()[nearer]
        return picture


class Backgrounds:
    """Those of one environment, one for each camera, and what they were drawn from.

    The first pictures of a state of things are drawn in full; a background is made when it is asked for a
    second time. So a task that moves what cannot move, in each step, costs no more than full drawings.
    """

    def __init__(self, cameras: Sequence[int]) -> None:
        self._cameras = list(cameras)
        self._contents: Contents | None = None
        self._decided_by = b""
        self._drawn: list[Background] = []

    def pictures(self, scene: Scene, model: MjModel, data: MjData) -> list[Pixels]:
        """One for each camera, equal to `scene.everything`."""
        if self._contents is None or self._decided_by != _deciding(model, data, self._cameras, self._contents):
            return self._in_full(scene, model, data)
        if self._contents.transparent or model.nskin or model.nflex:
            return [scene.everything(model, data, camera).copy() for camera in self._cameras]
        if not self._drawn:
            self._drawn = [_background(scene, model, data, camera) for camera in self._cameras]
        return [
            background.under(*scene.moving(model, data, camera))
            for camera, background in zip(self._cameras, self._drawn, strict=True)
        ]

    def _in_full(self, scene: Scene, model: MjModel, data: MjData) -> list[Pixels]:
        pictures = [scene.everything(model, data, camera).copy() for camera in self._cameras]
        self._contents = scene.contents()
        self._decided_by = _deciding(model, data, self._cameras, self._contents)
        self._drawn = []
        return pictures


def _background(scene: Scene, model: MjModel, data: MjData, camera: int) -> Background:
    pixels, depths = scene.static(model, data, camera)
    return Background(pixels.copy(), depths.copy())


def _deciding(model: MjModel, data: MjData, cameras: list[int], contents: Contents) -> bytes:
    """Everything but meshes and textures that decides how the static part looks.

    And which part that is: colours of all geoms, because those of alpha 0 are not drawn, and those below 1
    are seen through.
    """
    geoms, sites = contents.static_geoms, contents.static_sites
    visual, headlight = model.vis.map, model.vis.headlight
    parts: tuple[NDArray[np.generic], ...] = (
        data.geom_xpos[geoms],
        data.geom_xmat[geoms],
        data.site_xpos[sites],
        data.site_xmat[sites],
        model.geom_size[geoms],
        model.site_size[sites],
        model.geom_rgba,
        model.geom_matid,
        model.geom_group,
        model.site_rgba,
        model.site_matid,
        model.site_group,
        model.mat_rgba,
        model.mat_texid,
        model.mat_texrepeat,
        model.mat_emission,
        model.mat_specular,
        model.mat_shininess,
        data.cam_xpos[cameras],
        data.cam_xmat[cameras],
        model.cam_fovy[cameras],
        data.light_xpos,
        data.light_xdir,
        model.light_active,
        model.light_ambient,
        model.light_diffuse,
        model.light_specular,
        model.light_attenuation,
        model.light_cutoff,
        model.light_exponent,
        headlight.ambient,
        headlight.diffuse,
        headlight.specular,
        np.array((headlight.active, visual.znear, visual.zfar, model.stat.extent)),
    )
    return b"".join(part.tobytes() for part in parts)
