"""An episode drawn from its recording. Look at the pictures, too: no test can."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]
import numpy as np
import pytest
from PIL import Image

from consumers.audit.again import Simulators
from consumers.audit.case import Case
from consumers.audit.drawing import HOLD_S, Sheet, captioned
from consumers.audit.render import render
from consumers.audit.sources import LogSource
from sim.record import Record, decode_record
from tests.cli.conftest import PROGRAM
from tests.consumers.audit.conftest import EXPERTS, Evaluated

FPS = 80
"""MetaWorld's control steps take 5 x 2.5 ms."""


@pytest.fixture
async def case(source: LogSource) -> Case:
    return await source.case(EXPERTS)


@pytest.fixture
def record(case: Case) -> Record:
    return decode_record(case.recording)


@pytest.mark.camera
async def test_a_film_plays_in_real_time_up_to_the_last_step(
    case: Case, record: Record, elsewhere: Simulators, tmp_path: Path
) -> None:
    path = tmp_path / "episode.mp4"
    drawn = await elsewhere.run(render, case.spec(), record.actions[:10], path, title="T", ending="E")
    pictures, seconds = imageio_ffmpeg.count_frames_and_secs(path)
    shown = [0, 3, 6, 9, 10]
    assert (drawn.steps, drawn.fps) == (10, FPS)
    assert pictures == len(shown) + round(HOLD_S * FPS / 3)
    assert seconds == pytest.approx(pictures / (FPS / 3), abs=0.05)


@pytest.mark.camera
def test_the_command_draws_a_sheet_of_the_very_episode(evaluated: Evaluated, case: Case, tmp_path: Path) -> None:
    path = tmp_path / "episode.png"
    command = [*PROGRAM, "episode", "render", EXPERTS.id, "--out", str(path), "--nats-url", evaluated.nats_url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{path}: {case.claim.steps} steps, 80 in a second of the simulation\n"
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        assert len(sheet.getcolors(1 << 24) or []) > 1_000, "something is to be seen"


@pytest.mark.parametrize("steps", [0, 3, 11, 12, 500])
def test_a_sheet_has_the_first_and_the_last_picture(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "sheet.png"
    sheet = Sheet(path, steps)
    for number in range(steps + 1):
        if sheet.wants(number):
            sheet.add(np.full((2, 2, 3), number % 256, np.uint8))
    sheet.close()
    with Image.open(path) as image:
        shades = np.unique(np.asarray(image))
    assert {0, steps % 256} <= set(shades.tolist())


def test_a_picture_has_even_sides_as_video_needs_them() -> None:
    height, width, _ = captioned([np.zeros((5, 5, 3), np.uint8), np.zeros((5, 6, 3), np.uint8)], "T").shape
    assert (height % 2, width % 2) == (0, 0)
