"""From the values of an action's channels to the native action that drives a simulator. Pure, loads no simulator.

    native[i] = gains[i] * values[places[i]] + offsets[i]

Environments compute it for themselves, to the bit; here it is for whoever has only values, and no environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sim.rl_interface import FloatArray

Float = TypeVar("Float", bound=np.floating)


@dataclass(frozen=True, slots=True)
class NativeMap:
    """One family's. `values`: those of all channels of an environment, one channel after the other, by name."""

    channels: tuple[int, ...] | None
    """Their sizes, by name; None: an environment has one channel, of its own size, and its values are the native
    action as they are."""
    places: tuple[int, ...] = ()
    gains: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()

    @property
    def size(self) -> int | None:
        """Of the values."""
        return None if self.channels is None else sum(self.channels)

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
        return gains * self.sources(values) + offsets

    def sources(self, values: NDArray[Float]) -> NDArray[Float]:
        """The values from which the native ones come, shape (n,) of the environment."""
        return values if self.size is None else values[list(self.places)]

    def scale(self, native: FloatArray) -> FloatArray:
        """How much each native value changes with the value that it comes from."""
        return np.ones_like(native) if self.size is None else np.array(self.gains, np.float32)


AS_IT_IS = NativeMap(None)
