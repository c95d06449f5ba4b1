from __future__ import annotations

import copy

import mujoco
import numpy as np
import pytest

from sim.rendering.textures import shrink

MODEL = """
<mujoco>
  <asset>
    <texture name="wide" type="2d" builtin="checker" width="64" height="32" rgb1="1 0 0" rgb2="0 0 1"/>
    <texture name="odd" type="2d" builtin="gradient" width="48" height="48" rgb1="1 1 1" rgb2="0 0 0"/>
    <texture name="sky" type="skybox" builtin="gradient" width="32" height="192" rgb1="1 1 1" rgb2="0 0 0"/>
    <texture name="small" type="2d" builtin="flat" width="8" height="8" rgb1="0 1 0"/>
  </asset>
</mujoco>
"""


@pytest.fixture
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(MODEL)


def texels(model: mujoco.MjModel, name: str) -> np.ndarray:
    texture = model.texture(name).id
    height, width = model.tex_height[texture], model.tex_width[texture]
    channels, start = model.tex_nchannel[texture], model.tex_adr[texture]
    found: np.ndarray = model.tex_data[start : start + height * width * channels]
    return found.reshape(height, width, channels)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("wide", (8, 16, 3)), ("odd", (12, 12, 3)), ("sky", (96, 16, 3)), ("small", (8, 8, 3))],
)
def test_edges_are_halved_until_they_fit(name: str, shape: tuple[int, ...], model: mujoco.MjModel) -> None:
    shrink(model, 16)
    assert texels(model, name).shape == shape


def test_each_texel_is_the_mean_of_those_it_stands_for(model: mujoco.MjModel) -> None:
    original = texels(model, "sky").astype(float)
    shrink(model, 16)
    means = original.reshape(96, 2, 16, 2, 3).mean(axis=(1, 3))
    assert np.abs(texels(model, "sky") - means).max() <= 0.5


def test_what_fits_is_left_alone(model: mujoco.MjModel) -> None:
    before = copy.copy(model)
    shrink(model, 192)
    assert np.array_equal(model.tex_data, before.tex_data)
    assert np.array_equal(model.tex_width, before.tex_width)
