"""A cycle with every kind of spot check, and with copies of both kinds.

Of eight miners uid 1, 3, 4 and 5 are checked: 1 fails; 3 stood suspended and passes; 4 stood suspended, and nobody
can find out; 5 passes. So 1 and 4 are unverified. 5 has the weight file of 3, and 7 does what 6 does.
"""

from __future__ import annotations

from events.episodes import EpisodeCompleted, EpisodeOutcome
from events.ids import EnvId, EpisodeKey, Uid
from events.verification import VerificationOutcome, VerificationPassed
from tests.controls import facts
from tests.controls.sealed_cycles import outcomes_where
from tests.controls.spot_checks import checks_of

PLAN = facts.planned(
    4, uids=tuple(range(8)), episodes=3, verification=facts.verification_terms(rate="0.5", suspended={3: 1, 4: 2})
)
CHECKED = (1, 3, 4, 5)
WINS: dict[int, EnvId] = {0: facts.REACH, 1: facts.PUSH, 4: facts.PUSH}


def _outcomes() -> list[EpisodeOutcome]:
    return [_as_6(it) if it.uid == 7 else it for it in outcomes_where(PLAN, WINS)]


def _as_6(outcome: EpisodeOutcome) -> EpisodeOutcome:
    assert isinstance(outcome, EpisodeCompleted)
    theirs = facts.evidence(EpisodeKey(outcome.cycle, Uid(6), outcome.env, outcome.index))
    return outcome.model_copy(update={"evidence": theirs})


OUTCOMES = _outcomes()


def _checks() -> list[VerificationOutcome]:
    checks = checks_of(PLAN, OUTCOMES, failing=(1,), inconclusive=(4,))
    assert [it.uid for it in checks] == [*CHECKED]
    last = checks[-1]
    assert isinstance(last, VerificationPassed)
    return [*checks[:-1], last.model_copy(update={"committed": facts.committed_files(3)})]


CHECKS = _checks()
