"""The parameters of a MuJoCo model, to see whether one episode changes them for the next."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


def parameters(model: Any) -> dict[str, str]:
    """Every array of the model and of its options, by name, in short."""
    holders = {"": model, "opt.": model.opt, "stat.": model.stat}
    return {
        f"{prefix}{name}": hashlib.sha256(value.tobytes()).hexdigest()
        for prefix, holder in holders.items()
        for name in dir(holder)
        if not name.startswith("_") and isinstance(value := getattr(holder, name), np.ndarray)
    }


def differing(model: Any, other: Any) -> list[str]:
    """The names of the parameters that are not bitwise equal."""
    mine, others = parameters(model), parameters(other)
    return sorted(name for name in mine.keys() | others.keys() if mine.get(name) != others.get(name))
