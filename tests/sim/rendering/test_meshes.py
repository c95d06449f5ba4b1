from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator

import mujoco
import numpy as np
import pytest

from events.ids import EnvId, Seed
from sim.cameras import RGB84_1, UNSEEN
from sim.metaworld.environment import MetaWorldEnvironment
from sim.rendering.meshes import FACES_MIN, coarse
from sim.rendering.renderer import Renderer
from sim.suite import DEFAULT_ENVIRONMENTS

CELL_M = 0.01


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return MetaWorldEnvironment(EnvId("metaworld/door-open-v3"), UNSEEN, max_steps=1)._model


def faces(model: mujoco.MjModel, mesh: int) -> np.ndarray:
    start = model.mesh_faceadr[mesh]
    found: np.ndarray = model.mesh_face[start : start + model.mesh_facenum[mesh]]
    return found


def test_the_simulated_model_is_left_alone(model: mujoco.MjModel) -> None:
    before = copy.copy(model)
    coarse(model, CELL_M)
    for name in ("mesh_vert", "mesh_face", "mesh_facenum", "mesh_normal", "mesh_facenormal"):
        assert np.array_equal(getattr(model, name), getattr(before, name))


def test_most_triangles_go(model: mujoco.MjModel) -> None:
    assert coarse(model, CELL_M).mesh_facenum.sum() < model.mesh_facenum.sum() / 4


def test_plain_meshes_stay_as_they_are(model: mujoco.MjModel) -> None:
    drawn = coarse(model, CELL_M)
    plain = np.flatnonzero(model.mesh_facenum < FACES_MIN)
    assert plain.size
    assert all(np.array_equal(faces(drawn, mesh), faces(model, mesh)) for mesh in plain.tolist())


def test_every_corner_of_a_triangle_is_near_where_its_mesh_had_a_vertex(model: mujoco.MjModel) -> None:
    drawn = coarse(model, CELL_M)
    for mesh in range(model.nmesh):
        start, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        original = model.mesh_vert[start : start + count]
        corners = drawn.mesh_vert[start + np.unique(faces(drawn, mesh))]
        nearest = min_distances(corners, original)
        assert nearest.max() <= CELL_M * np.sqrt(3)


def min_distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.array([np.sqrt(((others - point) ** 2).sum(axis=1).min()) for point in points])


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    renderer = Renderer()
    yield renderer
    renderer.close()


@pytest.mark.camera
@pytest.mark.parametrize("env", DEFAULT_ENVIRONMENTS)
def test_coarser_meshes_leave_no_holes_and_no_spikes(env: EnvId, renderer: Renderer) -> None:
    """Against the same picture from the meshes as they are; a hole would show the background's colour."""
    fine = dataclasses.replace(RGB84_1, mesh_cell_m=0.0)
    environment = MetaWorldEnvironment(env, RGB84_1, max_steps=9, renderer=renderer)
    seen = environment.reset(Seed(3)).rgb
    renderer.prepare(env, fine, environment._model, upside_down=True)
    expected = renderer.frames(env, fine, environment._model, environment._data)
    for name, image in seen.items():
        off = np.abs(image.astype(int) - expected[name].astype(int)).max(axis=-1)
        assert off.mean() < 2.0, "of 255"
        assert (off > 60).mean() < 0.01
    environment.close()
