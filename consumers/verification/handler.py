"""The life of one check's task in a verifier.

            ┌─ no task at all ───────────────────────────────────────── Drop
    message ┤
            └─ task ┬─ has an outcome ───────────────────────────────── Done
                    ├─ was taken up too often without one ───────────── Drop
                    └─ has none: is checked ┬─ VerificationPassed ───── Done
                                            ├─ VerificationFailed ───── Done
                                            ├─ VerificationInconclusive Done
                                            └─ the log is away ──────── RetryAfter

A check that was cut off, by a crash or a stop, leaves nothing: it is begun again. The append expects an empty
subject; a conflict means that somebody else was faster, or that the cycle waited no longer: the log is right.
"""

from __future__ import annotations

import random
import time
from traceback import format_exc

import structlog
from faststream.nats import NatsMessage
from pydantic import ValidationError

from consumers.simulation.outcomes import MalformedTask
from consumers.verification.checking import Checked, Checker
from consumers.verification.limits import DELIVERIES_MAX
from consumers.verification.verdict import Failed, Inconclusive, Passed
from consumers.work import Answer, Done, Drop, LetGo, RetryAfter, retry_delay_s
from events import subjects
from events.codec import draft
from events.envelope import follow
from events.ids import CycleId, Uid
from events.log import Conflict, EventLog, LogUnavailable
from events.tasks import CheckTask, trouble
from events.traces import TracesUnavailable
from events.verification import (
    InconclusiveReason,
    VerificationFailed,
    VerificationInconclusive,
    VerificationOutcome,
    VerificationPassed,
)
from sim.http.failures import concealed
from sim.policy import printable

SOURCE = "/kinitro/verifier"

log = structlog.stdlib.get_logger(__name__)


class CheckHandler:
    """Turns tasks into outcomes."""

    def __init__(self, events: EventLog, checker: Checker, *, verifier: str) -> None:
        """`verifier` is the name that events carry."""
        self._events = events
        self._checker = checker
        self._verifier = verifier
        self._running: set[tuple[CycleId, Uid]] = set()
        self._rng = random.Random()

    async def __call__(self, message: NatsMessage) -> Answer:
        return await self.handle(message.body, delivery=message.raw_message.metadata.num_delivered)

    async def handle(self, body: bytes, *, delivery: int) -> Answer:
        """One delivery of a message, the `delivery`-th (1, 2, ...) of its kind."""
        try:
            task = parse_task(body)
        except MalformedTask as error:
            return Drop(str(error))
        miner = (task.cycle, task.uid)
        if miner in self._running:
            return LetGo("this verifier checks the miner already: its lease ran out while the server was away")
        self._running.add(miner)
        try:
            with structlog.contextvars.bound_contextvars(cycle=task.cycle, uid=task.uid):
                return await self._settle(task, delivery)
        except (LogUnavailable, TracesUnavailable) as error:
            return RetryAfter(retry_delay_s(delivery, self._rng), f"the log is away: {error}")
        finally:
            self._running.discard(miner)

    async def _settle(self, task: CheckTask, delivery: int) -> Answer:
        subject = subjects.verification(task.cycle, task.uid)
        if await self._events.last(subject) is not None:
            return Done()
        if delivery > DELIVERIES_MAX:
            return Drop(f"taken up {DELIVERIES_MAX} times without an outcome: do its verifiers die of it?")
        outcome = await self._outcome(task)
        envelope = follow(outcome, cause=task.cause, correlation=task.correlation, source=SOURCE)
        try:
            await self._events.append([draft(envelope)])
        except Conflict:
            return Done()
        log.info(outcome.type, **_metrics(outcome))
        return Done()

    async def _outcome(self, task: CheckTask) -> VerificationOutcome:
        """What the check came to. Whatever is raised on the way is our failure."""
        began_s, checked = time.monotonic(), Checked()
        try:
            await self._checker.check(task, checked)
            return outcome_of(task, checked, duration_s=time.monotonic() - began_s, verifier=self._verifier)
        except TracesUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # it becomes an event, and is logged without endpoints
            log.error("check failed", exception=_without_endpoints(format_exc(), task))  # noqa: TRY400
            checked.finding = Inconclusive(InconclusiveReason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")
        return outcome_of(task, checked, duration_s=time.monotonic() - began_s, verifier=self._verifier)


def parse_task(body: bytes) -> CheckTask:
    """The task in a message of the work queue.

    Raises:
        MalformedTask: with what is wrong about it.
    """
    try:
        return CheckTask.model_validate_json(body)
    except ValidationError as error:
        said = printable(trouble(error))
        raise MalformedTask(f"not a check's task, was it queued by another version? {said}") from error


def outcome_of(task: CheckTask, checked: Checked, *, duration_s: float, verifier: str) -> VerificationOutcome:
    """The finding as an event, without the miner's endpoint or those of its witnesses.

    Raises:
        ValidationError: the finding holds what no event can.
    """
    about = {
        "cycle": task.cycle,
        "uid": task.uid,
        "hotkey": task.hotkey,
        "repo": task.repo,
        "revision": task.revision,
        "duration_s": round(duration_s, 3),
        "verifier": verifier,
        "committed": checked.committed,
    }
    match checked.finding:
        case Passed(compared):
            return VerificationPassed(**about, sandbox=checked.sandbox, compared=compared)
        case Failed(reason, detail, compared):
            said = _told(detail, task)
            return VerificationFailed(**about, reason=reason, detail=said, sandbox=checked.sandbox, compared=compared)
        case Inconclusive(reason, detail):
            return VerificationInconclusive(**about, reason=reason, detail=_told(detail, task))
    raise AssertionError("a check that returns has found something")


def _told(detail: str, task: CheckTask) -> str:
    return printable(_without_endpoints(detail, task))


def _without_endpoints(text: str, task: CheckTask) -> str:
    """All of them may have been sealed: the miner's own, and those that only bear witness of our network."""
    for endpoint in (task.endpoint, *task.witnesses):
        text = concealed(text, endpoint)
    return text


def _metrics(outcome: VerificationOutcome) -> dict[str, object]:
    match outcome:
        case VerificationPassed():
            return {"score": outcome.compared.score, "duration_s": outcome.duration_s}
        case VerificationFailed() | VerificationInconclusive():
            return {"reason": outcome.reason.value, "detail": outcome.detail, "duration_s": outcome.duration_s}
