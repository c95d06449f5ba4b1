"""Events that this program cannot read, or cannot project, come into the log in the middle of a cycle."""

from __future__ import annotations

import sys

import pytest

from events import subjects
from events.codec import TYPES, encode
from events.copies import CopiesFound
from events.envelope import begin
from events.event import Event
from events.ids import CycleId
from events.log import Draft, EventLog
from tests.controls import facts
from tests.eventually import eventually
from tests.faults import newer
from tests.faults.conftest import Tell
from tests.faults.newer import CycleNoted
from tests.faults.stage import Stage, stage
from tests.faults.verdict import audited
from tests.system.cycles import CYCLE, Result, Subnet
from tests.system.reading import assert_served, assert_shown

LATER = CycleId(7)
REMEDY = "upgrade this program"


async def test_event_that_breaks_one_projection(
    subnet: Subnet, undisturbed: Result, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And before it one of an unknown kind, that concerns nobody."""
    async with stage(subnet) as it, it.telling():
        await it.under_way()
        await append(it.log, "evt.weather.1", CycleNoted(cycle=CYCLE))
        await append(it.log, subjects.copies(LATER), facts.copies_found(LATER))
        await append(it.log, subjects.copies(CycleId(LATER + 1)), facts.copies_found(LATER))  # the same rows again
        monkeypatch.setitem(TYPES, CycleNoted.type, CycleNoted)
        assert await it.finished() == undisturbed
        await eventually(lambda: only_stopped(it, "verifications"))
        await assert_shown(it.api, it.log)
        await told_everywhere(it, "verifications", "UniqueViolationError")
        assert (await audited(it.log)).agrees
        await it.witness.confirmed()
        assert {role.starts for role in it.roles.values()} == {1}, "somebody did not live through it"
    tell("the same weights; one projection stopped, told by /readyz, /metrics and db status; five went on")


async def test_event_of_unknown_type_and_version(
    subnet: Subnet, undisturbed: Result, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the very cycle: what it means for this cycle only a newer program knows, so nothing is concluded from it."""
    with subnet.held() as release:
        async with stage(subnet) as it, it.telling():
            await it.under_way()
            with pytest.MonkeyPatch.context() as newer_writer:
                newer_writer.setattr(CopiesFound, "schema_version", newer.COPIES_VERSION)
                await append(it.log, subjects.copies(LATER), facts.copies_found(LATER))
            await append(it.log, f"evt.cycle.{CYCLE}.note", CycleNoted(cycle=CYCLE))
            await it.role("scheduler").says(REMEDY)
            await eventually(lambda: only_stopped(it, "cycles", "verifications"))
            await told_everywhere(it, "cycles", REMEDY)
            await told_everywhere(it, "verifications", "upgrade it")
            release()
            assert await it.log.last(subjects.seal(CYCLE)) is None
            for name in ("scheduler", "projector", "api"):
                await upgraded(it, name)
            monkeypatch.setitem(TYPES, CycleNoted.type, CycleNoted)
            monkeypatch.setattr(CopiesFound, "schema_version", newer.COPIES_VERSION)
            assert await it.finished() == undisturbed
            await assert_served(it.api, it.log)
            await it.witness.confirmed()
            assert not (await audited(it.log)).agrees, "an auditor has to be upgraded, too"
    tell("the conductor refuses to go on, two projections stop, all name the remedy; upgraded: the same weights")


async def append(log: EventLog, subject: str, event: Event) -> None:
    envelope = begin(event, source="/test/newer")
    await log.append([Draft(subject, envelope.id, encode(envelope, subject))])


async def only_stopped(it: Stage, *names: str) -> bool:
    """Whether these projections have stopped, and all others are up to the end of the log."""
    health = (await it.api.get("/health")).json
    stopped = {name for name, found in health["projections"].items() if found["error"] is not None}
    behind = {name for name, found in health["projections"].items() if found["lag"] != 0}
    return stopped == set(names) and behind <= stopped


async def told_everywhere(it: Stage, name: str, reason: str) -> None:
    """Fails unless an operator meets the projection that has stopped, and why, wherever one may look."""
    answer = await it.api.get("/readyz")
    assert answer.status == 503
    assert f"projection {name}" in answer.json["degraded"]
    assert reason in answer.json["projections"][name]["error"]
    metrics = (await it.api.get("/metrics")).body.decode()
    assert f'kinitro_projection_stopped{{projection="{name}"}} 1.0' in metrics
    status = " ".join((await it.kinitro("db", "status")).split())
    assert all(word in status for word in reason.split()), status


async def upgraded(it: Stage, name: str) -> None:
    role = it.role(name)
    await role.stop()
    role.argv = (sys.executable, "-m", newer.__name__, name)
    role.start()
