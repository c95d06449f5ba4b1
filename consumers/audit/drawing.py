"""Pictures of an episode on their way into a file: a film, or one sheet of a few of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

Picture = NDArray[np.uint8]
"""Shape (height, width, 3), RGB, the first row at the top."""

BAR_PX = 32
GAP_PX = 4
FONT_PX = 18
BAR_COLOUR, TEXT_COLOUR = (24, 24, 24), (236, 236, 236)
SHEET_PICTURES, SHEET_COLUMNS = 12, 3
HOLD_S = 1.5
"""How long a film stands still at its end: some episodes take half a second."""
FPS_MAX = 30
"""Of a film: more than the eye sees costs a fifth of a second each to draw without a GPU."""
CRF = 20
"""H.264's constant rate factor: lower is better and larger; from 18 on nobody sees a difference."""


def captioned(cameras: Sequence[Picture], caption: str) -> Picture:
    """The cameras side by side under a bar with the caption. Sides are even numbers, as video needs them."""
    gap = np.full((cameras[0].shape[0], GAP_PX, 3), BAR_COLOUR, np.uint8)
    pictures = np.hstack([part for camera in cameras for part in (camera, gap)][:-1])
    width = pictures.shape[1] + pictures.shape[1] % 2
    height = BAR_PX + pictures.shape[0] + pictures.shape[0] % 2
    canvas = Pictures.new("RGB", (width, height), BAR_COLOUR)
    canvas.paste(Pictures.fromarray(pictures), (0, BAR_PX))
    draw = ImageDraw.Draw(canvas)
    draw.text((8, BAR_PX // 2), caption, TEXT_COLOUR, ImageFont.load_default(FONT_PX), anchor="lm")
    return np.asarray(canvas)


class Sink(Protocol):
    """Takes pictures of equal size, in order. Nothing is there until it is closed."""

    def wants(self, step: int) -> bool:
        """Whether the picture after this step (0: before the first) is to be added."""
        ...

    def add(self, picture: Picture) -> None: ...

    def close(self) -> None: ...


class Film:
    """An MP4 (H.264) of every n-th of `steps + 1` pictures and the last, which it stands still at for a moment.

    It plays in real time; `fps` is how many steps a second has. The n is the least with which a second has no more
    than `FPS_MAX` pictures.
    """

    def __init__(self, path: Path, steps: int, fps: float) -> None:
        import imageio.v2 as imageio  # starts ffmpeg: only where a film is wanted

        self._steps, self._stride = steps, math.ceil(fps / FPS_MAX)
        fps /= self._stride
        self._writer: Any = imageio.get_writer(
            path,
            format="FFMPEG",
            fps=fps,
            codec="libx264",
            macro_block_size=2,
            output_params=["-crf", str(CRF), "-movflags", "+faststart"],
        )
        self._hold = round(HOLD_S * fps)
        self._last: Picture | None = None

    def wants(self, step: int) -> bool:
        return step % self._stride == 0 or step == self._steps

    def add(self, picture: Picture) -> None:
        self._writer.append_data(picture)
        self._last = picture

    def close(self) -> None:
        if self._last is not None:
            for _ in range(self._hold):
                self._writer.append_data(self._last)
        self._writer.close()


class Sheet:
    """A PNG of the first of `steps + 1` pictures, the last, and some between, at equal distances."""

    def __init__(self, path: Path, steps: int) -> None:
        self._path = path
        self._wanted = set(np.linspace(0, steps, SHEET_PICTURES).round().astype(int).tolist())
        self._pictures: list[Picture] = []

    def wants(self, step: int) -> bool:
        return step in self._wanted

    def add(self, picture: Picture) -> None:
        self._pictures.append(picture)

    def close(self) -> None:
        height, width, _ = self._pictures[0].shape
        rows = -(-len(self._pictures) // SHEET_COLUMNS)
        columns = min(SHEET_COLUMNS, len(self._pictures))
        sheet = Pictures.new("RGB", (columns * width, rows * height), BAR_COLOUR)
        for number, picture in enumerate(self._pictures):
            place = (number % SHEET_COLUMNS * width, number // SHEET_COLUMNS * height)
            sheet.paste(Pictures.fromarray(picture), place)
        sheet.save(self._path, format="PNG", optimize=True)
