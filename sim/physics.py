"""What every family does with MuJoCo in the same way. Loads MuJoCo when imported."""

from __future__ import annotations

import hashlib
import logging
import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from events.ids import Seed
from sim.environment import SEED_MAX, NativeAction
from sim.errors import InvalidAction

logger = logging.getLogger(__name__)

FLOAT32 = np.dtype(np.float32)
STATE = mujoco.mjtState.mjSTATE_INTEGRATION
DIVERGED = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADQACC) + 1)
"""MuJoCo's warnings of bad positions, velocities and accelerations. After any of them it has silently put the
simulation back to its start."""


def _log_warning(message: str) -> None:
    logger.warning("MuJoCo: %s", message)


# Without a handler MuJoCo writes MUJOCO_LOG.TXT into whatever directory the process runs in.
mujoco.set_mju_user_warning(_log_warning)


def check_seed(seed: Seed) -> None:
    """Refuse what no episode can begin from.

    Raises:
        ValueError: the seed is not an unsigned 64-bit integer.
    """
    if not 0 <= seed <= SEED_MAX:
        raise ValueError(f"seed {seed} is not an unsigned 64-bit integer")


def check_native(native: NativeAction, size: int) -> None:
    """Refuse what must not reach the physics: MuJoCo answers NaN with a silent reset of the simulation.

    Raises:
        InvalidAction: not `size` finite float32 numbers.
    """
    if native.dtype != FLOAT32 or native.shape != (size,):
        raise InvalidAction(
            f"native action: expected {size} float32 of shape ({size},), got {native.dtype} of shape {native.shape}"
        )
    if not all(map(math.isfinite, native.tolist())):
        raise InvalidAction(f"native action: expected finite numbers, got {native.tolist()}")


def divergence_counts(data: mujoco.MjData) -> NDArray[np.int32]:
    """How often the physics has blown up since the last `mj_resetData`, by kind: a view that keeps up to date."""
    counts: NDArray[np.int32] = data.warning.number[DIVERGED]
    return counts


def diverged(counts: NDArray[np.int32]) -> bool:
    """Whether any of `divergence_counts` happened.

    That ends an episode without success: if it counted as our failure, a policy that can provoke it could
    drop the seeds it does not like.
    """
    return any(counts.tolist())


def state_digest(model: mujoco.MjModel, data: mujoco.MjData) -> str:
    """See `Environment.state_digest`."""
    state = np.empty(mujoco.mj_stateSize(model, STATE), np.float64)
    mujoco.mj_getState(model, data, state, STATE)
    return hashlib.sha256(state.astype("<f8", copy=False).tobytes()).hexdigest()
