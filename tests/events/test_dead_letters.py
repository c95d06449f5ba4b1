"""Dead letters on a real server: kept, found, counted, removed; and what becomes of those that are retried."""

from __future__ import annotations

import pytest

from events import frames, subjects
from events.codec import draft
from events.connection import Connection
from events.dead_letters import DeadLetters, Filed, LetterNotKept
from events.envelope import begin
from events.event import Event
from events.ids import CycleId, Uid
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.stream_settings import LETTER_BYTES_MAX, TASK_BYTES_MAX
from events.task_retry import Retried, retry
from tests.controls import facts
from tests.controls.tasks import task

TASK = "task.episode.1.0.metaworld.reach-v3.0"
OTHER = "task.check.1.0"


@pytest.fixture
def letters(nats: Connection) -> DeadLetters:
    return DeadLetters(nats)


async def keep(
    letters: DeadLetters, subject: str = TASK, body: bytes = b"{}", reason: str = "unknown field"
) -> Filed:
    await letters.keep(subject, body, reason=reason, worker="worker-1", deliveries=1)
    filed = await letters.find(subject)
    assert filed is not None
    return filed


async def test_a_letter_holds_the_tasks_own_bytes(letters: DeadLetters) -> None:
    body = bytes(range(256))
    filed = await keep(letters, body=body)
    assert (filed.task, filed.letter.body) == (TASK, body)
    assert (filed.letter.reason, filed.letter.worker, filed.letter.deliveries) == ("unknown field", "worker-1", 1)
    assert await letters.find(filed.number) == filed


async def test_the_longest_task_has_room_in_a_letter(letters: DeadLetters) -> None:
    filed = await keep(letters, body=b"x" * TASK_BYTES_MAX, reason="y" * 10_000)
    assert len(filed.letter.body) == TASK_BYTES_MAX


async def test_what_the_server_refuses_is_told(letters: DeadLetters) -> None:
    with pytest.raises(LetterNotKept, match="bytes refused"):
        await keep(letters, body=b"x" * LETTER_BYTES_MAX)


async def test_a_task_that_dies_again_is_one_letter_that_counts(letters: DeadLetters) -> None:
    first = await keep(letters)
    again = await keep(letters, reason="still unknown")
    assert await letters.count() == 1
    assert (again.letter.times, again.letter.since, again.letter.reason) == (2, first.letter.since, "still unknown")
    assert again.letter.at > first.letter.at


async def test_all_are_told_oldest_first(letters: DeadLetters) -> None:
    assert [it async for it in letters.all()] == []
    kept = [await keep(letters, subject) for subject in (OTHER, TASK)]
    assert [it async for it in letters.all()] == kept


async def test_removing_a_letter_leaves_a_newer_one_of_its_task(letters: DeadLetters) -> None:
    old = await keep(letters)
    new = await keep(letters)
    await letters.remove(old)
    assert await letters.find(TASK) == new
    await letters.remove(new)
    assert await letters.find(TASK) is None
    assert await letters.count() == 0


@pytest.mark.parametrize("which", [OTHER, "task.>", 0, 7])
async def test_what_is_not_there_is_none(letters: DeadLetters, which: str | int) -> None:
    await keep(letters)
    assert await letters.find(which) is None


async def test_what_no_version_wrote_is_shown_as_such(letters: DeadLetters, nats: Connection) -> None:
    await nats.ask(lambda reply: frames.request(subjects.dead_letter(TASK), reply, b"by hand"))
    [filed] = [it async for it in letters.all()]
    assert "no letter of ours" in filed.letter.reason
    assert filed.letter.body == b"by hand"


class TestRetry:
    """By what the log says of the episode, the check, the cycle."""

    @pytest.fixture
    async def filed(self, letters: DeadLetters) -> Filed:
        return await keep(letters, body=task().model_dump_json().encode())

    @staticmethod
    async def retried(filed: Filed, nats: Connection, *so_far: Event) -> Retried | str:
        log = JetStreamLog(nats)
        for event in so_far:
            await log.append([draft(begin(event, source="/test"))])
        letters = DeadLetters(nats)
        done = await retry(filed, log=log, queue=JetStreamQueue(nats), letters=letters)
        assert await letters.count() == 0
        return done

    async def test_an_open_episode_is_queued_byte_for_byte(self, filed: Filed, nats: Connection) -> None:
        assert await self.retried(filed, nats) is Retried.QUEUED
        overview = await JetStreamQueue(nats).overview()
        assert overview.cycles[1].by_environment == {facts.REACH: 1}

    async def test_one_that_is_queued_already_stays(
        self, filed: Filed, nats: Connection, task_queue: JetStreamQueue
    ) -> None:
        await task_queue.put([task()])
        assert await self.retried(filed, nats) is Retried.QUEUED_ALREADY
        assert await task_queue.pending() == 1

    async def test_one_with_an_outcome_is_not_queued(
        self, filed: Filed, nats: Connection, task_queue: JetStreamQueue
    ) -> None:
        done = await self.retried(filed, nats, facts.completed(task().key))
        assert "has its outcome, kinitro.episode.completed (sequence 1)" in str(done)
        assert await task_queue.pending() == 0

    async def test_one_that_was_abandoned_stays_so(self, filed: Filed, nats: Connection) -> None:
        done = await self.retried(filed, nats, facts.abandoned(task().key))
        assert "abandoned (sequence 1); that is its outcome, and stands for ever" in str(done)

    async def test_one_of_a_cycle_that_has_ended_is_not_queued(self, filed: Filed, nats: Connection) -> None:
        assert "its cycle has ended (sequence 1)" in str(await self.retried(filed, nats, facts.sealed()))

    async def test_a_check_is_judged_by_its_own_outcome(self, letters: DeadLetters, nats: Connection) -> None:
        assert await self.retried(await keep(letters, OTHER), nats, facts.completed()) is Retried.QUEUED

    async def test_what_is_no_tasks_subject_is_not_queued(self, letters: DeadLetters, nats: Connection) -> None:
        assert "no episode and no check" in str(await self.retried(await keep(letters, "task.episode.x"), nats))


def test_the_subjects_that_settle_a_task_are_those_of_the_log() -> None:
    key = task(3, uid=2, index=9).key
    assert subjects.settling(subjects.task(key)) == (subjects.outcome(key), subjects.seal(CycleId(3)))
    check = subjects.check(CycleId(3), Uid(2))
    assert subjects.settling(check) == (subjects.verification(CycleId(3), Uid(2)), subjects.seal(CycleId(3)))
