"""One task's meshes and textures in OpenGL, and the drawing of its cameras at the size of a profile."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.rendering.meshes import coarse
from sim.rendering.textures import shrink

if TYPE_CHECKING:
    from mujoco import MjData, MjModel

    from sim.cameras import ObservationProfile

GEOMS_MAX = 1000

Pixels = NDArray[np.uint8]
"""Shape (size, size, 3), before supersampling is averaged; the first row is the lowest, as OpenGL has it."""

Depths = NDArray[np.float32]
"""Shape (size, size): the nearer the greater, 0 where nothing was drawn."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the last full drawing held, as far as a background needs to know."""

    static_geoms: list[int]
    static_sites: list[int]
    transparent: bool


class Scene:
    """Needs the process's OpenGL context to be current, from its making to its `close`.

    Lights, poses, colours and fields of view are those of the model and data given to each drawing; only
    meshes and textures are loaded once.
    """

    def __init__(self, profile: ObservationProfile, model: MjModel) -> None:
        self.size_px = profile.image_size_px * profile.supersampling
        self._context = mujoco.MjrContext(_drawn(profile, model, self.size_px), mujoco.mjtFontScale.mjFONTSCALE_50)
        # The raw values: the other map subtracts them from 1, which makes far things equally far.
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = mujoco.MjvScene(model, GEOMS_MAX)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = profile.shadow_map_px > 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = profile.reflections
        self._options = mujoco.MjvOption()
        self._viewport = mujoco.MjrRect(0, 0, self.size_px, self.size_px)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._pixels = np.empty((self.size_px, self.size_px, 3), np.uint8)
        self._depths = np.empty((self.size_px, self.size_px), np.float32)

    def everything(self, model: MjModel, data: MjData, camera: int) -> Pixels:
        """The full picture. Like the other two, in a buffer that the next drawing overwrites."""
        self._render(model, data, camera, mujoco.mjtCatBit.mjCAT_ALL, skybox=True)
        mujoco.mjr_readPixels(self._pixels, None, self._viewport, self._context)
        return self._pixels

    def static(self, model: MjModel, data: MjData, camera: int) -> tuple[Pixels, Depths]:
        """Only what cannot move."""
        self._render(model, data, camera, mujoco.mjtCatBit.mjCAT_STATIC, skybox=True)
        return self._read()

    def moving(self, model: MjModel, data: MjData, camera: int) -> tuple[Pixels, Depths]:
        """Only what can move, before nothing."""
        self._render(model, data, camera, mujoco.mjtCatBit.mjCAT_DYNAMIC, skybox=False)
        return self._read()

    def contents(self) -> Contents:
        """Of the last drawing."""
        geoms = self._scene.geoms[: self._scene.ngeom]
        static = [geom for geom in geoms if geom.category == mujoco.mjtCatBit.mjCAT_STATIC]
        return Contents(
            static_geoms=[geom.objid for geom in static if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM],
            static_sites=[geom.objid for geom in static if geom.objtype == mujoco.mjtObj.mjOBJ_SITE],
            transparent=any(geom.rgba[3] < 1.0 for geom in geoms),
        )

    def close(self) -> None:
        self._context.free()

    def _render(self, model: MjModel, data: MjData, camera: int, shown: mujoco.mjtCatBit, *, skybox: bool) -> None:
        self._camera.fixedcamid = camera
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = skybox
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        # Anew for each camera: the headlight sits on it.
        mujoco.mjv_updateScene(model, data, self._options, None, self._camera, shown, self._scene)
        mujoco.mjr_render(self._viewport, self._scene, self._context)

    def _read(self) -> tuple[Pixels, Depths]:
        mujoco.mjr_readPixels(self._pixels, self._depths, self._viewport, self._context)
        return self._pixels, self._depths


def _drawn(profile: ObservationProfile, model: MjModel, size_px: int) -> MjModel:
    """What is loaded into OpenGL, as the profile says."""
    drawn = coarse(model, profile.mesh_cell_m) if profile.mesh_cell_m else copy.copy(model)
    if profile.texture_px_max:
        shrink(drawn, profile.texture_px_max)
    drawn.vis.quality.offsamples = 0
    drawn.vis.quality.shadowsize = profile.shadow_map_px
    drawn.vis.quality.numslices, drawn.vis.quality.numstacks, drawn.vis.quality.numquads = profile.tessellation
    drawn.vis.global_.offwidth = drawn.vis.global_.offheight = size_px
    return drawn
