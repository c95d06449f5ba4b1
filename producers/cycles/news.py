"""What is worth telling about a cycle, each time that more of its events were folded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from events.ids import Uid
from producers.cycles.chances import MinerChances, Standing
from producers.cycles.state import CycleState
from producers.progress import (
    Advanced,
    Checked,
    Checking,
    GivenUp,
    Planned,
    Probed,
    Progress,
    Seeded,
    SetAside,
    TakenBack,
)

SHARES = 200
"""How many times at most a cycle's advance is told, whatever its size."""


class News:
    """Remembers what of `state` was told already."""

    def __init__(self, state: CycleState) -> None:
        self._state = state
        self._planned = self._seeded = self._checking = False
        self._done = self._checked = 0
        self._standings: dict[Uid, Standing] = {}

    def come(self) -> Iterator[Progress]:
        """What is new since the last time."""
        state = self._state
        if state.plan is not None and not self._planned:
            self._planned, plan = True, state.plan.event
            yield Planned(plan.cycle, len(plan.roster), len(plan.environments), plan.episodes_planned)
        if state.seeded is not None and not self._seeded:
            self._seeded = True
            yield Seeded(state.cycle, state.seeded.event.block)
        if state.done - self._done >= state.planned / SHARES or state.complete:
            yield from self._of_advance()
        yield from self._of_miners()
        yield from self._of_checks()

    def _of_advance(self) -> Iterator[Progress]:
        if self._state.done != self._done:
            self._done = self._state.done
            yield Advanced(self._state.cycle, self._done, self._state.planned)

    def _of_miners(self) -> Iterator[Progress]:
        before, self._standings = self._standings, self._state.chances.standings()
        for uid in sorted(before.keys() | self._standings.keys()):
            standing = self._standings.get(uid, Standing.WAITED_FOR)
            if standing is not before.get(uid, Standing.WAITED_FOR):
                yield self._of_miner(uid, self._state.chances.of(uid))

    def _of_checks(self) -> Iterator[Progress]:
        cycle, checks = self._state.cycle, self._state.checks
        if checks.drawn and not self._checking:
            self._checking = True
            yield Checking(cycle, len(checks.drawn), checks.ends_at)
        for it in islice(checks.results.values(), self._checked, None):
            self._checked += 1
            yield Checked(cycle, it.uid, it.verdict, it.reason, it.detail)

    def _of_miner(self, uid: Uid, it: MinerChances) -> Progress:
        match it.standing:
            case Standing.WAITED_FOR:
                return TakenBack(self._state.cycle, uid)
            case Standing.ASIDE:
                return SetAside(self._state.cycle, uid, it.in_row)
            case Standing.PROBED:
                return Probed(self._state.cycle, uid)
            case Standing.GIVEN_UP:
                return GivenUp(self._state.cycle, uid, it.in_row, it.missing)
