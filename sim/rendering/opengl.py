"""Finding and loading an OpenGL that draws off screen."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from typing import Any, Literal

from sim.errors import GraphicsUnavailable

Graphics = Literal["auto", "osmesa", "egl"]
"""The way to OpenGL."""

LIBRARIES = {"osmesa": "libOSMesa.so.8", "egl": "libEGL.so.1"}
INSTALL_HINT = (
    "on Debian and Ubuntu: apt-get install libosmesa6 (or libegl1 libgl1 libgl1-mesa-dri); "
    "the profile state/1 needs none"
)
WINDOW_PX = 16
"""Of the window that a context cannot be without. Pictures have buffers of their own."""


def open_context(graphics: Graphics) -> Any:
    """A current, off-screen OpenGL context, with `make_current` and `free`.

    `auto` prefers OSMesa, which always draws in software, so that every machine gets the same pixels; EGL may
    find a GPU.

    Raises:
        GraphicsUnavailable
    """
    implementation = _implementation(graphics)
    # Mesa's worker threads would only wait for each other on pictures this small; more processes are better.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    try:
        context = importlib.import_module(f"mujoco.{implementation}").GLContext(WINDOW_PX, WINDOW_PX)
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
