"""What a policy gets to see: observation profiles, and the renderer that draws their cameras.

A profile is named and versioned, because it is part of a cycle's plan. Importing this loads no graphics.
"""

from __future__ import annotations

import copy
import ctypes
import importlib
import os
import sys
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sim.errors import GraphicsUnavailable, UnknownProfile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mujoco import MjData, MjModel

    from sim.rl_interface import Image

Graphics = Literal["auto", "osmesa", "egl"]
"""The way to OpenGL."""

LIBRARIES = {"osmesa": "libOSMesa.so.8", "egl": "libEGL.so.1"}
INSTALL_HINT = (
    "on Debian and Ubuntu: apt-get install libosmesa6 (or libegl1 libgl1 libgl1-mesa-dri); "
    "the profile state/1 needs none"
)
SCENES_MAX = 16
"""How many tasks stay loaded, at about 50 MB each."""
GEOMS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Camera:
    """One of the model's fixed cameras, by name, with the vertical field of view it is given."""

    name: str
    fovy_deg: float


@dataclass(frozen=True, slots=True)
class ObservationProfile:
    """What an observation holds beside proprioception. A change of any field is a new version."""

    name: str
    cameras: tuple[Camera, ...] = ()
    image_size_px: int = 0
    """Images are square."""
    full_state: bool = False
    """`extra` carries the environment's id and full state: for development and tests only."""


STATE_1 = ObservationProfile("state/1", full_state=True)
RGB84_1 = ObservationProfile("rgb84/1", (Camera("corner", 30.0), Camera("corner2", 35.0)), 84)

UNSEEN = ObservationProfile("unseen/1")
"""Nothing but proprioception: for re-simulation, where nobody looks."""

PROFILES = {profile.name: profile for profile in (STATE_1, RGB84_1)}


def find_profile(name: str) -> ObservationProfile:
    """The profile of this name.

    Raises:
        UnknownProfile: there is none.
    """
    if profile := PROFILES.get(name):
        return profile
    raise UnknownProfile(f"observation profile {name!r} does not exist; there are {', '.join(sorted(PROFILES))}")


class Renderer:
    """Draws the cameras of any number of environments; one per process, used from one thread.

    One OpenGL context for the process, created by the first drawing, and in it the meshes and textures of
    each task. Shadows, reflections and multi-sampling are off: they cost twenty times the rest of the
    picture. Equal states give equal pixels, in any process, with either software implementation.
    """

    def __init__(self, graphics: Graphics = "auto") -> None:
        self._graphics = graphics
        self._context: Any = None
        self._scenes: OrderedDict[tuple[str, str], _Scene] = OrderedDict()

    def prepare(self, key: str, profile: ObservationProfile, model: MjModel) -> None:
        """Load what `frames` will need: 0.1-0.4 s for a key and profile not seen before.

        `key` stands for the model's geometry; models with equal meshes and textures share it.

        Raises:
            GraphicsUnavailable: no OpenGL can be loaded.
        """
        self._scene(key, profile, model)

    def frames(self, key: str, profile: ObservationProfile, model: MjModel, data: MjData) -> Mapping[str, Image]:
        """Camera -> uint8 (size, size, 3), the first row at the top, of the state's current poses."""
        scene = self._scene(key, profile, model)
        return {camera.name: scene.draw(camera, model, data) for camera in profile.cameras}

    def close(self) -> None:
        """Free the contexts. Call on the thread that has drawn."""
        while self._scenes:
            self._scenes.popitem()[1].close()
        if self._context is not None:
            self._context.free()
            self._context = None

    def _scene(self, key: str, profile: ObservationProfile, model: MjModel) -> _Scene:
        place = (key, profile.name)
        if place not in self._scenes:
            if self._context is None:
                self._context = _open_context(self._graphics, profile.image_size_px)
            if len(self._scenes) >= SCENES_MAX:
                self._scenes.popitem(last=False)[1].close()
            self._scenes[place] = _Scene(model, profile.image_size_px)
        self._scenes.move_to_end(place)
        return self._scenes[place]


class _Scene:
    """The meshes and textures of one task in the current OpenGL context, and the buffer it is drawn to."""

    def __init__(self, model: MjModel, size_px: int) -> None:
        import mujoco

        render_model = copy.copy(model)
        render_model.vis.quality.offsamples = 0
        render_model.vis.quality.shadowsize = 0
        render_model.vis.global_.offwidth = render_model.vis.global_.offheight = size_px
        self._mujoco = mujoco
        self._size_px = size_px
        self._context = mujoco.MjrContext(render_model, mujoco.mjtFontScale.mjFONTSCALE_50)
        self._scene = mujoco.MjvScene(model, GEOMS_MAX)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._options = mujoco.MjvOption()
        self._viewport = mujoco.MjrRect(0, 0, size_px, size_px)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED

    def draw(self, camera: Camera, model: MjModel, data: MjData) -> Image:
        mujoco = self._mujoco
        self._camera.fixedcamid = model.camera(camera.name).id
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        mujoco.mjv_updateScene(
            model, data, self._options, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        pixels = np.empty((self._size_px, self._size_px, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, self._viewport, self._context)
        # OpenGL's first row is the lowest, and MetaWorld's corner cameras hang upside down: what is left of
        # the two is a swap of left and right.
        return np.ascontiguousarray(pixels[:, ::-1])

    def close(self) -> None:
        self._context.free()


def _open_context(graphics: Graphics, size_px: int) -> Any:
    """A current, off-screen OpenGL context.

    `auto` prefers OSMesa, which always draws in software, so that every machine gets the same pixels; EGL may
    find a GPU.

    Raises:
        GraphicsUnavailable
    """
    implementation = _implementation(graphics)
    # Mesa's worker threads would only wait for each other on pictures this small; more processes are better.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    try:
        context = importlib.import_module(f"mujoco.{implementation}").GLContext(size_px, size_px)
        context.make_current()
    except Exception as error:
        raise GraphicsUnavailable(
            f"{LIBRARIES[implementation]} is there, but gives no OpenGL context: "
            f"{type(error).__name__}: {error}; {INSTALL_HINT}"
        ) from error
    return context


def _implementation(graphics: Graphics) -> str:
    """Which of MuJoCo's ways to OpenGL to take. Only one can be tried in the life of a process."""
    for implementation in LIBRARIES:
        if f"mujoco.{implementation}" in sys.modules:
            return implementation  # MUJOCO_GL was set when MuJoCo was loaded
    for implementation, library in LIBRARIES.items():
        if graphics in ("auto", implementation) and _loads(library):
            return implementation
    wanted = " and ".join(LIBRARIES.values()) if graphics == "auto" else LIBRARIES[graphics]
    raise GraphicsUnavailable(f"cameras need OpenGL, but cannot load {wanted}; {INSTALL_HINT}")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
