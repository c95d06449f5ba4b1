"""Small policies of numpy: a perceptron with two hidden layers, and what may be odd about a policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
Product = Callable[[FloatArray, FloatArray], FloatArray]
SIZES = (39, 64, 64, 7)
"""Observations of a MetaWorld task to a twist and a gripper."""


@dataclass(frozen=True)
class Perceptron:
    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    memory: float = 0.0
    """How much of the last hidden layer is added to the next step's."""
    noise: float = 0.0
    episode: int | None = None
    """Seeds the noise; None: nothing does."""

    def run(self, observations: Sequence[FloatArray], product: Product = np.matmul) -> list[FloatArray]:
        """The actions of one episode, from its reset on."""
        random = np.random.default_rng(self.episode)
        last: FloatArray = np.zeros(SIZES[-2])
        actions = []
        for observation in observations:
            hidden = observation
            for weights, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
                hidden = np.tanh(product(hidden, weights) + bias)
            hidden = last = hidden + (self.memory * last).astype(hidden.dtype)
            action = np.tanh(product(hidden, self.weights[-1]) + self.biases[-1])
            actions.append(action + (self.noise * random.normal(size=action.shape)).astype(action.dtype))
        return actions

    def with_altered_layer(self, layer: int, factors: FloatArray | float) -> Perceptron:
        weights = list(self.weights)
        weights[layer] = (weights[layer] * factors).astype(weights[layer].dtype)
        return replace(self, weights=tuple(weights))

    def as_type(self, dtype: type[np.floating]) -> Perceptron:
        return replace(
            self,
            weights=tuple(each.astype(dtype) for each in self.weights),
            biases=tuple(each.astype(dtype) for each in self.biases),
        )


def perceptron(seed: int, **oddities: float) -> Perceptron:
    random = np.random.default_rng(seed)
    layers = list(pairwise(SIZES))
    return Perceptron(
        tuple(random.normal(0, 1 / np.sqrt(size), (size, width)).astype(np.float32) for size, width in layers),
        tuple(random.normal(0, 0.1, width).astype(np.float32) for _, width in layers),
        **oddities,  # type: ignore[arg-type]
    )


def observations(seed: int, samples: int = 5) -> list[FloatArray]:
    random = np.random.default_rng([seed, 1])
    return list(random.normal(size=(samples, SIZES[0])).astype(np.float32))


def backwards(one: FloatArray, two: FloatArray) -> FloatArray:
    """The product, summed in the other order: what another machine's linear algebra may do."""
    total = np.zeros(two.shape[1], two.dtype)
    for value, row in zip(one[::-1], two[::-1], strict=True):
        total = total + value.astype(two.dtype) * row
    return total
