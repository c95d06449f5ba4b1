"""Workers die, stall and come back too late."""

from __future__ import annotations

import asyncio

from events.episodes import EpisodeAttemptFailed, FailureCode
from events.log import EventLog
from tests.eventually import eventually
from tests.faults.conftest import Tell
from tests.faults.gate import Point
from tests.faults.stage import SLOTS, stage
from tests.system.cycles import OUTCOMES, Result, Subnet, all_events, all_slots_taken, tried_again

OUTCOME_STORED = Point(r" evt\.cycle\.1\.episode\.", sent=True)
BEFORE_THE_ACK = Point(r" \$JS\.ACK\.KINITRO_TASKS\S* +0\r\n")


async def test_kill_9_in_mid_episode(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    with subnet.held() as release:
        async with stage(subnet) as it:
            await it.under_way()
            await all_slots_taken(it.log, SLOTS)
            it.role("worker-1").kill()
            release()
            await it.unharmed(undisturbed)
            again = await tried_again(it.log)
            assert again > 0, "it ran no episode when it was killed"
            tell(f"the same weights; {again} episodes have a second attempt")


async def test_kill_9_between_outcome_and_ack(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    """Once when the outcome is stored and the worker has not heard it, and once when it has and is about to ack."""
    alone = ("scheduler", "projector", "api", "worker-1")
    async with stage(subnet, roles=alone, gated=("worker-1",)) as it:
        await it.killed_at_each("worker-1", [OUTCOME_STORED, BEFORE_THE_ACK])
        await it.unharmed(undisturbed)
        assert await run_after_the_end(it.log) == 0
        again = await tried_again(it.log)
        tell(f"2 kills; no episode ran after its outcome; {again} that had none yet have a second attempt")


async def test_stopped_past_its_lease_and_continued(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    """It goes on in the middle of the cycle, with episodes that another has taken over meanwhile."""
    with subnet.held() as release:
        async with stage(subnet) as it:
            await it.under_way()
            await all_slots_taken(it.log, SLOTS)
            async with it.role("worker-1").stalled():
                release()
                await eventually(lambda: taken_over(it.log))
            await it.unharmed(undisturbed)
            tell(f"the same weights; {await tried_again(it.log)} outcomes are of the one that took over")


async def test_stopped_until_the_cycle_is_over(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    with subnet.held() as release:
        async with stage(subnet) as it:
            await it.under_way()
            await all_slots_taken(it.log, SLOTS)
            async with it.role("worker-1").stalled():
                release()
                assert await it.finished() == undisturbed
                end = await it.log.last_sequence()
            assert await it.role("worker-1").stop() == 0
            await it.unharmed(undisturbed)
            assert await it.log.last_sequence() == end
            tell("its four episodes had an outcome when it woke; nothing was added")


async def test_told_to_stop_more_often_than_attempts_may_fail(
    subnet: Subnet, undisturbed: Result, tell: Tell
) -> None:
    """All workers at once, each time when their grace is too short: the policy of their episodes answers nobody."""
    allowed = subnet.cycles.attempts
    with subnet.held() as release:
        async with stage(subnet) as it:
            await it.under_way()
            for _ in range(allowed + 1):
                await all_slots_taken(it.log, SLOTS)
                assert await asyncio.gather(*(worker.stop() for worker in it.workers)) == [0] * len(it.workers)
                for worker in it.workers:
                    worker.start()
            release()
            await it.unharmed(undisturbed)
            events = [recorded.event for recorded in await all_events(it.log)]
            ended = [event for event in events if isinstance(event, EpisodeAttemptFailed)]
            assert {event.code for event in ended} == {FailureCode.HANDED_BACK}
            most = max(event.attempt for event in ended)
            assert most > allowed
            tell(
                f"{len(ended)} attempts handed back, {most} of one episode where {allowed} may fail; the same weights"
            )


async def taken_over(log: EventLog) -> bool:
    return any(isinstance(recorded.event, EpisodeAttemptFailed) for recorded in await all_events(log))


async def run_after_the_end(log: EventLog) -> int:
    """How many attempts are told of episodes that had their outcome already."""
    events = [recorded.event for recorded in await all_events(log)]
    ended = {event.key: place for place, event in enumerate(events) if isinstance(event, OUTCOMES)}
    return sum(isinstance(it, EpisodeAttemptFailed) and place > ended[it.key] for place, it in enumerate(events))
