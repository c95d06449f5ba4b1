"""The faster functions against those that they stand for, bit for bit."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metaworld.utils import reward_utils
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sim.metaworld import arithmetic

NUMBERS = st.floats(-2, 2) | st.floats()
SIGMOIDS = st.sampled_from(["long_tail", "gaussian"])


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, SIGMOIDS, st.booleans())
def test_tolerance(x: float, lower: float, upper: float, margin: float, sigmoid: str, as_numpy: bool) -> None:
    number = np.float64 if as_numpy else float
    arguments = (number(x), (lower, upper), number(margin), sigmoid)
    assert result(arithmetic.tolerance, *arguments) == result(reward_utils.tolerance, *arguments)


def test_tolerance_of_an_array() -> None:
    x = np.linspace(-1, 1, 9)
    assert (arithmetic.tolerance(x, (0, 0.1), 0.5) == reward_utils.tolerance(x, (0, 0.1), 0.5)).all()


def result(function: Any, *arguments: Any) -> str:
    """Its type and every bit of it, or the error."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            value = function(*arguments)
    except (ValueError, ZeroDivisionError) as error:
        return repr(error)
    return f"{type(value)} {float(value).hex()}"


@given(st.lists(st.floats(-1e3, 1e3) | st.floats(), max_size=4))
def test_norm_of_a_vector(values: list[float]) -> None:
    vector = np.array(values, np.float64)
    with np.errstate(all="ignore"):
        expected, got = np.linalg.norm(vector), arithmetic.norm(vector)
    assert type(got) is type(expected)
    assert got.tobytes() == expected.tobytes() or math.isnan(got) == math.isnan(expected) is True


@pytest.mark.parametrize("options", [{"axis": 0}, {"ord": 1}, {"ord": np.inf}, {"keepdims": True}])
def test_norm_of_anything_else(options: dict[str, Any]) -> None:
    vector = np.array([3.0, -4.0, 0.5])
    expected = np.linalg.norm(vector, **options)
    assert np.asarray(arithmetic.norm(vector, **options)).tobytes() == np.asarray(expected).tobytes()
    assert np.shape(arithmetic.norm(vector, **options)) == np.shape(expected)


def rotations() -> Iterator[NDArray[np.float64]]:
    yield from Rotation.random(2_000, random_state=1).as_matrix()
    for axes, signs in itertools.product(itertools.permutations(range(3)), itertools.product((1.0, -1.0), repeat=3)):
        turned = np.zeros((3, 3))
        turned[range(3), axes] = signs
        if np.linalg.det(turned) > 0:
            yield turned
    for axis in np.eye(3):
        yield Rotation.from_rotvec(np.pi * axis).as_matrix()


@pytest.mark.parametrize("noise", [0.0, 1e-16, 1e-14, 1e-13, 1e-12, 1e-3])
def test_quaternion_of_a_matrix(noise: float) -> None:
    generator = np.random.default_rng(0)
    for exact in rotations():
        matrix = exact + noise * generator.normal(size=(3, 3))
        got, expected = (
            arithmetic.MatrixRotation.from_matrix(matrix).as_quat(),
            Rotation.from_matrix(matrix).as_quat(),
        )
        assert got.tobytes() == expected.tobytes(), matrix


def test_quaternion_of_a_rotation_does_not_need_scipy() -> None:
    (matrix,) = Rotation.random(1, random_state=1).as_matrix()
    assert not isinstance(arithmetic.MatrixRotation.from_matrix(matrix), Rotation)


@pytest.mark.parametrize("x", [np.array([-2.0, -0.0, 0.5, np.nan]), np.array([0.1, 3], np.float32), np.float64(3), 2])
@pytest.mark.parametrize("bound", [1, 0.7, np.array([0.7, 0.7])[:1]])
@pytest.mark.parametrize("options", [{}, {"dtype": np.float64}])
def test_clip(x: Any, bound: Any, options: dict[str, Any]) -> None:
    expected = np.clip(x, a_min=0.0, a_max=bound, **options)
    got = arithmetic.clip(x, a_min=0.0, a_max=bound, **options)
    assert (type(got), got.dtype, got.tobytes()) == (type(expected), expected.dtype, expected.tobytes())
