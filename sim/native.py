"""From the values of an action's channels to the native action that drives a simulator. Pure, loads no simulator.

    native[i] = gains[i] * values[places[i]] + offsets[i]

Environments compute it for themselves, to the bit; here it is for whoever has only values, and no environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sim.rl_interface import FloatArray


@dataclass(frozen=True, slots=True)
class NativeMap:
    """One family's. `values`: those of all channels of an environment, one channel after the other, by name."""

    size: int | None
    """Of the values; None: an environment's own number, and they are the native action as they are."""
    places: tuple[int, ...] = ()
    gains: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()

    def native(self, values: FloatArray) -> FloatArray:
        """Shape (n,) of the environment, but for the sign of a zero.

        Raises:
            ValueError: these are not the values of one of its environments.
        """
        if self.size is None:
            return values
        if values.shape != (self.size,):
            raise ValueError(f"action: expected {self.size} values, got an array of shape {values.shape}")
        gains, offsets = np.array(self.gains, np.float32), np.array(self.offsets, np.float32)
        return gains * values[list(self.places)] + offsets

    def scale(self, native: FloatArray) -> FloatArray:
        """How much each native value changes with the value that it comes from."""
        return np.ones_like(native) if self.size is None else np.array(self.gains, np.float32)


AS_IT_IS = NativeMap(None)
