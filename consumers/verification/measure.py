"""How far one action is from another. Pure.

The error of one action is the normwise relative error in the maximum norm (Higham, Accuracy and Stability of
Numerical Algorithms, 2nd edition, 6.2), of each channel for itself, and the largest of these:

    error = max over channels c of  max_{i in c} |served_i - committed_i| / max(max_{i in c} |committed_i|, FLOOR)

It asks how large the difference is beside the channel, not beside each value: a value that is nearly zero by
cancellation differs by much of itself between two honest machines. Nor beside the whole action: channels are
quantities of their own, and a gripper of 1 would hide a tenth of a twist of 0.01. Below `FLOOR`, where a whole
channel is nearly zero, its error is absolute, in units of the floor.

Plans before schema version 6 have the norm over all values of all channels (`Measure.WHOLE_ACTION`), as if they were
one channel. What was checked under them is audited with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from events.ids import EnvId
from events.verification import Measure
from sim.suite import native_map

FLOOR = 0.01
"""Of the largest value of a channel, where channels reach from -1 to 1."""

Actions = NDArray[np.floating]
"""One action: shape (n,), all channels one after the other, by name."""
Channels = tuple[int, ...] | None
"""Their sizes, in this order; None: all values are one channel, however many."""


def channels_of(measure: Measure, env: EnvId) -> Channels:
    """The channels for which this environment's actions are measured each for itself.

    Raises:
        UnknownEnvironment: by channel only.
    """
    return None if measure is Measure.WHOLE_ACTION else native_map(env).channels


def relative_error(committed: Actions, served: Actions, channels: Channels) -> float:
    """As above; both of the same shape, all values finite.

    Raises:
        ValueError: these are no actions of these channels.
    """
    one, two = np.asarray(committed, np.float64), np.asarray(served, np.float64)
    if one.size == 0 and channels is None:
        return 0.0
    return float(np.max(np.abs(two - one) / magnitudes(one, channels)))


def magnitudes(action: Actions, channels: Channels) -> NDArray[np.float64]:
    """Of each value the largest of its channel, `FLOOR` or more, shape (n,): what a difference is set beside.

    Raises:
        ValueError: this is no action of these channels.
    """
    sizes = [max(action.size, 1)] if channels is None else list(channels)
    if action.shape != (sum(sizes),):
        raise ValueError(f"action: expected channels of {sizes} values, got an array of shape {action.shape}")
    starts = np.cumsum([0, *sizes[:-1]])
    largest = np.maximum.reduceat(np.abs(np.asarray(action, np.float64)), starts)
    return np.repeat(np.maximum(largest, FLOOR), sizes)
