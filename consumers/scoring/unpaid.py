"""Who gets no weight, whatever its points: one value, from the evidence to the last share."""

from __future__ import annotations

from dataclasses import dataclass

from events.ids import Uid


@dataclass(frozen=True, slots=True)
class Unpaid:
    """They keep their results, and are rivals all the same. A miner may be both."""

    moved: frozenset[Uid] = frozenset()
    """Who no longer held its uid when the cycle ended."""
    unverified: frozenset[Uid] = frozenset()
    """Who failed a spot check, and has passed none since."""

    def __contains__(self, uid: Uid) -> bool:
        return uid in self.moved or uid in self.unverified


NOBODY = Unpaid()
