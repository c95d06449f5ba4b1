"""One audit from start to end: the case, a second run, the comparison."""

from __future__ import annotations

from consumers.audit.again import Simulators, run_again
from consumers.audit.case import Case
from consumers.audit.checks import ACTIONS, Audit, Check, check_again, check_before
from sim.errors import InvalidAction, InvalidTrace
from sim.record import decode_record


async def audit(case: Case, simulators: Simulators) -> Audit:
    """Whether the claim of a case is true.

    Raises:
        SimError: the second run failed for a reason that says nothing about the claim.
    """
    try:
        record = decode_record(case.recording)
    except InvalidTrace as error:
        return Audit(case.key.id, (Check("recording", False, f"cannot be read: {error}"),), is_exact=True)
    before = check_before(case, record)
    if not all(check.same for check in before if check.name != ACTIONS):  # a second run shows which action is forged
        return Audit(case.key.id, tuple(before), is_exact=True)  # a second run would be of something else
    try:
        again = await simulators.run(run_again, case.spec(), record.actions)
    except InvalidAction as error:
        return Audit(case.key.id, (*before, Check(ACTIONS, False, f"cannot be run: {error}")), is_exact=True)
    return check_again(case, record, again)
