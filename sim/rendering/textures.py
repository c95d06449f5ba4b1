"""Smaller textures for small pictures: OpenGL would read only averages of them, and keep them whole.

It keeps a picture that covers a cube six times over, with all its averages: 45 MB for one of MetaWorld's tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mujoco import MjModel


def shrink(model: MjModel, edge_px_max: int) -> None:
    """Average each texture down, by a power of two, to at most this edge; in place.

    One whose edge is an odd multiple of something larger stays as near as it comes.
    """
    for texture in range(model.ntex):
        height, width = int(model.tex_height[texture]), int(model.tex_width[texture])
        factor = _factor(width, height, edge_px_max)
        if factor == 1:
            continue
        channels, start = int(model.tex_nchannel[texture]), int(model.tex_adr[texture])
        texels = model.tex_data[start : start + height * width * channels]
        blocks = texels.reshape(height // factor, factor, width // factor, factor, channels)
        sums = blocks.sum(axis=(1, 3), dtype=np.uint32)
        averaged = ((sums + factor * factor // 2) // (factor * factor)).astype(np.uint8).ravel()
        model.tex_data[start : start + averaged.size] = averaged
        model.tex_height[texture], model.tex_width[texture] = height // factor, width // factor


def _factor(width: int, height: int, edge_px_max: int) -> int:
    """The width is the edge: the six faces of a cube may stand one below the other."""
    factor = 1
    while width // factor > edge_px_max and width % (2 * factor) == 0 and height % (2 * factor) == 0:
        factor *= 2
    return factor
