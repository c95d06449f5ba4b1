"""Which events a reader wants, and which part of the log has to be read for them.

An event is wanted where its `data` says so: its `cycle`, its `uid` or `hotkey`, its `env`; and by its `type`. What
names several miners, such as a plan or weights, is about none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from api.stream.entries import Entry
from events import subjects
from events.ids import CycleId, EnvId, Hotkey, Uid, split_env_id
from events.log import Filter
from events.weights import WeightsComputed

EVERYTHING = ">"


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that is not None has to hold. With an empty `types` every type is wanted."""

    cycle: CycleId | None = None
    uid: Uid | None = None
    """A slot: whoever held it."""
    hotkey: Hotkey | None = None
    """A miner, whichever slots it held."""
    environment: EnvId | None = None
    types: frozenset[str] = frozenset()

    def has(self, entry: Entry) -> bool:
        """Whether this event is wanted. One that cannot be streamed is: nobody knows what it is."""
        if not entry.data_at:
            return True
        return (
            (self.cycle is None or entry.cycle == self.cycle)
            and (self.uid is None or entry.uid == self.uid)
            and (self.hotkey is None or entry.hotkey == self.hotkey)
            and (self.environment is None or entry.env == self.environment)
            and (not self.types or entry.type in self.types)
        )

    @property
    def is_all(self) -> bool:
        return self == _ALL

    @property
    def subjects(self) -> Filter:
        """Filters under which all wanted events stand, and others: `has` decides.

        A filter by type alone reads everything: that is faster than a filter that selects most of it.
        """
        if self.cycle is not None:
            return _of_cycle(self.cycle)
        if self.environment is not None:
            return _of_episodes(self.uid, self.environment)
        if self.uid is not None:
            return (*_of_uid(self.uid), subjects.MINERS)
        if self.hotkey is not None:
            return _of_hotkey(self.hotkey)
        return subjects.WEIGHTS if self.types == WEIGHTS_TYPES else EVERYTHING


_ALL = Wanted()
WEIGHTS_TYPES = frozenset({WeightsComputed.type})


def _of_cycle(cycle: CycleId) -> tuple[str, ...]:
    return (
        subjects.cycle(cycle),
        subjects.weights(cycle),
        subjects.signed_root(cycle),
        subjects.signed_weights(cycle),
        subjects.anchor(cycle),
        subjects.rules(cycle),
        subjects.shadows(cycle),
        subjects.copies(cycle),
    )


def _of_episodes(uid: Uid | None, environment: EnvId) -> tuple[str, ...]:
    family, task = split_env_id(environment)
    slot = "*" if uid is None else uid
    return f"evt.cycle.*.episode.{slot}.{family}.{task}.*", f"evt.cycle.*.attempt.{slot}.{family}.{task}.*.*"


def _of_hotkey(hotkey: Hotkey) -> tuple[str, ...]:
    about = f"evt.miner.{hotkey}.*", subjects.OUTCOMES, "evt.cycle.*.attempt.>", subjects.VERIFICATIONS
    return (*about, subjects.ANCHORS)


def _of_uid(uid: Uid) -> tuple[str, ...]:
    return f"evt.cycle.*.episode.{uid}.>", f"evt.cycle.*.attempt.{uid}.>", f"evt.cycle.*.verification.{uid}"
