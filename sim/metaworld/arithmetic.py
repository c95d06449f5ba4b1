"""What MetaWorld's rewards and observations compute per step, faster, to the same last bit.

NumPy, SciPy and MetaWorld's `tolerance` are made for arrays of any shape; per step MetaWorld gives them vectors
of three and single numbers, and most of the time goes into finding that out. These functions take the one case
and hand every other to the original. They do the same operations in the same order: `x * x` for a power of two,
or another order of a sum, may differ in the last bit, and then the reward does.
"""

from __future__ import annotations

import math
import types
from typing import Any

import numpy as np
from metaworld.utils import reward_utils
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

LONG_TAIL_VALUE_AT_MARGIN = 0.1
"""MetaWorld's default, and the only one that its tasks use."""
LONG_TAIL_SCALE = float(np.sqrt(1 / LONG_TAIL_VALUE_AT_MARGIN - 1))
SQUARE_ROOT_MAX = 1e150
"""Python refuses a power that no float can hold; NumPy makes it infinite."""
ORTHOGONAL_TOLERANCE = 1e-13
"""Below SciPy's own of 1e-12: what passes here passes there, and SciPy then takes the matrix as it is."""


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: A002
    """`numpy.linalg.norm`; fast for the length of one float64 vector."""
    plain = ord is None and axis is None and not keepdims
    if plain and type(x) is np.ndarray and x.ndim == 1 and x.dtype == np.float64:
        return np.float64(math.sqrt(x.dot(x)))
    return np.linalg.norm(x, ord, axis, keepdims)


def tolerance(
    x: Any,
    bounds: tuple[float, float] = (0.0, 0.0),
    margin: Any = 0.0,
    sigmoid: Any = "gaussian",
    value_at_margin: float = LONG_TAIL_VALUE_AT_MARGIN,
) -> Any:
    """`metaworld.utils.reward_utils.tolerance`; fast for one number with a long-tail sigmoid."""
    lower, upper = bounds
    if (
        sigmoid != "long_tail"
        or value_at_margin != LONG_TAIL_VALUE_AT_MARGIN
        or not isinstance(x, float)
        or not (lower <= upper and margin > 0)
    ):
        return reward_utils.tolerance(x, bounds, margin, sigmoid, value_at_margin)
    if lower <= x <= upper:
        return 1.0
    distance = float(lower - x if x < lower else x - upper) / float(margin)
    scaled = distance * LONG_TAIL_SCALE
    if scaled > SQUARE_ROOT_MAX:
        return reward_utils.tolerance(x, bounds, margin, sigmoid, value_at_margin)
    # NumPy takes the power of single numbers from the C library as well; a product may differ in the last bit.
    return 1 / (math.pow(scaled, 2) + 1)


class MatrixRotation:
    """`scipy.spatial.transform.Rotation`; fast from one matrix to its quaternion and nothing else."""

    @staticmethod
    def from_matrix(matrix: NDArray[np.float64]) -> _Quaternion | Rotation:
        """`matrix`: 3 x 3. What is no rotation to within rounding goes to SciPy, which finds the nearest one."""
        (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
        off_orthogonal = max(
            abs(a * a + b * b + c * c - 1),
            abs(d * d + e * e + f * f - 1),
            abs(g * g + h * h + i * i - 1),
            abs(a * d + b * e + c * f),
            abs(a * g + b * h + c * i),
            abs(d * g + e * h + f * i),
        )
        determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
        if not (off_orthogonal < ORTHOGONAL_TOLERANCE and determinant > 0):
            return Rotation.from_matrix(matrix)
        return _Quaternion(_normalized(*_quaternion(a, b, c, d, e, f, g, h, i)))


class _Quaternion:
    __slots__ = ("_xyzw",)

    def __init__(self, xyzw: NDArray[np.float64]) -> None:
        self._xyzw = xyzw

    def as_quat(self) -> NDArray[np.float64]:
        return self._xyzw


def _quaternion(
    a: float, b: float, c: float, d: float, e: float, f: float, g: float, h: float, i: float
) -> tuple[float, float, float, float]:
    """x, y, z, w of the rotation matrix ((a, b, c), (d, e, f), (g, h, i)), not normalized.

    By F. Landis Markley, "Unit Quaternion from Rotation Matrix", 2008, in the order of operations of SciPy.
    """
    trace = a + e + i
    largest = max(a, e, i, trace)
    if largest == a:
        return 1 - trace + 2 * a, d + b, g + c, h - f
    if largest == e:
        return d + b, 1 - trace + 2 * e, h + f, c - g
    if largest == i:
        return g + c, h + f, 1 - trace + 2 * i, d - b
    return h - f, c - g, d - b, 1 + trace


def _normalized(x: float, y: float, z: float, w: float) -> NDArray[np.float64]:
    length = math.sqrt(x * x + y * y + z * z + w * w)
    return np.array((x / length, y / length, z / length, w / length))


def clip(x: Any, a_min: Any = None, a_max: Any = None, **options: Any) -> Any:
    """`numpy.clip`, which ends in this method of an array, without the way there."""
    if type(x) is np.ndarray:
        return x.clip(a_min, a_max, **options)
    return np.clip(x, a_min, a_max, **options)


def _changed(module: types.ModuleType, **changes: Any) -> types.ModuleType:
    """A module like this one but for the changes. The module itself stays as it is."""
    changed = types.ModuleType(module.__name__)
    changed.__dict__.update(vars(module), **changes)
    return changed


REPLACED: dict[str, Any] = {
    "np": _changed(np, linalg=_changed(np.linalg, norm=norm), clip=clip),
    "reward_utils": _changed(reward_utils, tolerance=tolerance),
    "tolerance": tolerance,
    "Rotation": MatrixRotation,
}
"""By the global name under which MetaWorld's modules know the original."""
