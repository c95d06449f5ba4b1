"""The renderer of a process: what environments ask for pictures."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.rendering.opengl import open_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mujoco import MjData, MjModel

    from sim.cameras import ObservationProfile
    from sim.rendering.background import Backgrounds
    from sim.rendering.opengl import Graphics
    from sim.rendering.scene import Pixels, Scene
    from sim.rl_interface import Image

SCENES_MAX = 16
"""How many tasks stay loaded, at about 20 MB each under a profile of small pictures."""


class Renderer:
    """Draws the cameras of any number of environments; one per process, used from one thread.

    One OpenGL context for the process, created by the first drawing, and in it the meshes and textures of
    each task. Equal states give equal pixels, in any process, in any order, with either software
    implementation.
    """

    def __init__(self, graphics: Graphics = "auto") -> None:
        self._graphics = graphics
        self._context: Any = None
        self._upside_down: dict[str, bool] = {}
        self._views: OrderedDict[tuple[str, ObservationProfile], _View] = OrderedDict()

    def prepare(self, key: str, profile: ObservationProfile, model: MjModel, *, upside_down: bool = False) -> None:
        """Load what `frames` will need: 0.1-0.4 s for a key and profile not seen before.

        `key` stands for the model's geometry; models with equal meshes and textures share it, and whether
        their cameras hang `upside_down`. They are drawn upright.

        Raises:
            GraphicsUnavailable: no OpenGL can be loaded.
        """
        self._upside_down[key] = upside_down
        self._view(key, profile, model)

    def frames(self, key: str, profile: ObservationProfile, model: MjModel, data: MjData) -> Mapping[str, Image]:
        """Camera -> uint8 (size, size, 3), the first row at the top, of the current poses. `prepare` comes first."""
        return self._view(key, profile, model).frames(model, data)

    def forget(self, model: MjModel) -> None:
        """Free what is kept of the environment with this model: at its end."""
        for view in self._views.values():
            view.forget(model)

    def close(self) -> None:
        """Free the contexts. Call on the thread that has drawn."""
        if self._context is None:
            return
        self._context.make_current()
        while self._views:
            self._views.popitem()[1].close()
        self._context.free()
        self._context = None

    def _view(self, key: str, profile: ObservationProfile, model: MjModel) -> _View:
        if self._context is None:
            self._context = open_context(self._graphics)
        self._context.make_current()
        place = (key, profile)
        if place not in self._views:
            if len(self._views) >= SCENES_MAX:
                self._views.popitem(last=False)[1].close()
            self._views[place] = _View(profile, model, upside_down=self._upside_down[key])
        self._views.move_to_end(place)
        return self._views[place]


class _View:
    """One task under one profile, in any number of environments."""

    def __init__(self, profile: ObservationProfile, model: MjModel, *, upside_down: bool) -> None:
        from sim.rendering.scene import Scene  # loads MuJoCo

        self._profile = profile
        self._cameras = {camera.name: int(model.camera(camera.name).id) for camera in profile.cameras}
        self._upside_down = upside_down
        self._scene: Scene = Scene(profile, model)
        self._backgrounds: weakref.WeakKeyDictionary[MjModel, Backgrounds] = weakref.WeakKeyDictionary()

    def frames(self, model: MjModel, data: MjData) -> dict[str, Image]:
        pictures = self._pictures(model, data)
        return {name: self._upright(pixels) for name, pixels in zip(self._cameras, pictures, strict=True)}

    def forget(self, model: MjModel) -> None:
        self._backgrounds.pop(model, None)

    def close(self) -> None:
        self._scene.close()

    def _pictures(self, model: MjModel, data: MjData) -> list[Pixels]:
        from sim.rendering.background import Backgrounds

        cameras = self._cameras.values()
        if not self._profile.static_background:
            return [self._scene.everything(model, data, camera).copy() for camera in cameras]
        if model not in self._backgrounds:
            self._backgrounds[model] = Backgrounds(list(cameras))
        return self._backgrounds[model].pictures(self._scene, model, data)

    def _upright(self, pixels: Pixels) -> Image:
        averaged = _averaged(pixels, self._profile.supersampling)
        # OpenGL's first row is the lowest, so half a turn leaves a swap of left and right.
        return np.ascontiguousarray(averaged[:, ::-1] if self._upside_down else averaged[::-1])


def _averaged(pixels: Pixels, edge: int) -> Pixels:
    """The rounded mean of each square of `edge` by `edge` pixels."""
    if edge == 1:
        return pixels
    rows = pixels[::edge].astype(np.uint16)
    for i in range(1, edge):
        rows += pixels[i::edge]
    sums = rows[:, ::edge].copy()
    for i in range(1, edge):
        sums += rows[:, i::edge]
    return ((sums + edge * edge // 2) // (edge * edge)).astype(np.uint8)
