"""Does each plan name as suspended whose latest conclusive spot check failed before it? Pure.

One cycle's events do not say it: the failure is an earlier one's.
"""

from __future__ import annotations

from consumers.audit.history.checks import HistoryDiffers
from events.cycles import CyclePlanned
from events.ids import CycleId, Hotkey
from events.verification import VerificationFailed, VerificationOutcome, VerificationPassed


class Suspensions:
    """A fold of all plans and spot checks of a log, in its order. It grows with the miners that have failed."""

    def __init__(self) -> None:
        self._failed: dict[Hotkey, CycleId] = {}
        """In which cycle the latest conclusive check failed; nobody whose latest passed."""

    def checked(self, check: VerificationOutcome) -> None:
        match check:
            case VerificationFailed():
                self._failed[check.hotkey] = check.cycle
            case VerificationPassed():
                self._failed.pop(check.hotkey, None)
            case _:
                pass

    def planned(self, plan: CyclePlanned) -> None:
        """Compare with who is suspended in this plan; a plan without checks suspends nobody.

        Raises:
            HistoryDiffers: others should be, or since another cycle.
        """
        if plan.verification is None:
            return
        expected = {it.uid: self._failed[it.hotkey] for it in plan.roster if it.hotkey in self._failed}
        found = {it.uid: it.failed_in for it in plan.verification.suspended}
        for uid in sorted(expected.keys() | found.keys()):
            if expected.get(uid) != found.get(uid):
                where = f"cycle {plan.cycle}, suspended uid {uid}"
                raise HistoryDiffers(where, _since(expected.get(uid)), _since(found.get(uid)))


def _since(cycle: CycleId | None) -> str:
    return "not suspended" if cycle is None else f"suspended since cycle {cycle}"
