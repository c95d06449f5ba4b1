"""Coarser meshes for small pictures: software OpenGL spends its time on triangles, most under a pixel here.

Vertex clustering after Rossignac and Borrel, "Multi-resolution 3D approximations for rendering complex scenes"
(1993): a mesh is cut into cubes, the vertices in each become their mean, and triangles that lose a corner go.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mujoco import MjModel

FACES_MIN = 600
"""Meshes below are drawn as they are: a box of twelve triangles has nothing to give."""

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def coarse(model: MjModel, cell_m: float) -> MjModel:
    """A copy of the model with coarser meshes, for an OpenGL context and nothing else.

    Its collisions would be wrong: what they are computed from no longer fits the meshes.
    """
    drawn = copy.copy(model)
    for mesh in range(drawn.nmesh):
        textured = drawn.mesh_texcoordnum[mesh] > 0
        if drawn.mesh_facenum[mesh] >= FACES_MIN and not textured:
            _coarsen(drawn, mesh, cell_m)
    return drawn


def _coarsen(model: MjModel, mesh: int, cell_m: float) -> None:
    vertices = _rows(model.mesh_vertadr[mesh], model.mesh_vertnum[mesh])
    normals = _rows(model.mesh_normaladr[mesh], model.mesh_normalnum[mesh])
    faces = _rows(model.mesh_faceadr[mesh], model.mesh_facenum[mesh])
    corners = model.mesh_face[faces].astype(np.int64)
    corner_normals = model.mesh_normal[normals][model.mesh_facenormal[faces]].astype(np.float64)

    cluster = _clusters(model.mesh_vert[vertices], cell_m)
    means = _means(cluster, model.mesh_vert[vertices].astype(np.float64))
    directions = _means(cluster[corners].ravel(), corner_normals.reshape(-1, 3))
    kept = _distinct(cluster[corners])
    if len(directions) > model.mesh_normalnum[mesh]:
        return  # no room: this mesh has few normals for its vertices, so it is flat and plain

    _put(model.mesh_vert, vertices, means)
    _put(model.mesh_normal, normals, _unit(directions))
    _put(model.mesh_face, faces, kept)
    _put(model.mesh_facenormal, faces, kept)
    model.mesh_facenum[mesh] = len(kept)


def _rows(start: int, count: int) -> slice:
    return slice(int(start), int(start) + int(count))


def _put(array: NDArray[np.generic], rows: slice, values: NDArray[np.generic]) -> None:
    array[rows.start : rows.start + len(values)] = values


def _clusters(vertices: NDArray[np.float32], cell_m: float) -> Indices:
    """The number of each vertex's cluster, from 0 without gaps."""
    cells = np.floor(vertices / cell_m).astype(np.int64)
    _, cluster = np.unique(cells, axis=0, return_inverse=True)
    return cluster.ravel().astype(np.int64)


def _means(cluster: Indices, vectors: Floats) -> Floats:
    sizes = np.bincount(cluster)
    sums = [np.bincount(cluster, vectors[:, axis]) for axis in range(3)]
    return np.stack(sums, axis=1) / np.maximum(sizes, 1)[:, None]


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(lengths > 1e-9, vectors / np.maximum(lengths, 1e-9), (0.0, 0.0, 1.0))


def _distinct(faces: Indices) -> Indices:
    """The faces with three different corners, each once. The order of corners, which tells front from back, stays."""
    a, b, c = faces.T
    proper = faces[(a != b) & (b != c) & (a != c)]
    turns = (np.argmin(proper, axis=1)[:, None] + np.arange(3)) % 3
    return np.unique(np.take_along_axis(proper, turns, axis=1), axis=0)
