"""What stands beside the weights and comes of the same end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from consumers.audit.cycle.fold import CycleFold, Placed
from consumers.audit.cycle.verdicts import Difference


def misplaced(fold: CycleFold, placed: Placed) -> Iterator[Difference]:
    """Where it is not caused by the cycle's end, or comes before the weights."""
    end, weights = cast("Placed", fold.end), cast("Placed", fold.weights)
    found, because = placed.recorded.envelope, end.recorded.envelope
    if (found.causation, found.correlation) != (because.id, because.correlation):
        expected = f"it caused by {because.id} of the story {because.correlation}"
        yield Difference(placed.line.where, expected, f"by {found.causation} of {found.correlation}")
    if placed.line.number < weights.line.number:
        yield Difference(placed.line.where, f"the weights before {placed.recorded.event.type}", "it before them")
