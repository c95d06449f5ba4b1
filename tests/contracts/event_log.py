"""What every `EventLog` does. A test class per implementation inherits it and provides the fixture `log`."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import count

import pytest

from events.log import BATCH_MAX, BODY_BYTES_MAX, Conflict, Draft, EventLog, Filter, Stored, TooLarge

_ids = count(1)


def a_draft(subject: str, *, body: bytes = b"{}", expected_last: int = 0) -> Draft:
    return Draft(subject, f"id-{next(_ids)}", body, expected_last)


def drafts(number: int, *, prefix: str = "evt.cycle.1.episode") -> list[Draft]:
    return [a_draft(f"{prefix}.{index}", body=b'{"n":%d}' % index) for index in range(number)]


async def everything(log: EventLog, *, after: int = 0, subject: Filter = ">") -> list[Stored]:
    return [stored async for batch in log.read(after=after, subject=subject) for stored in batch]


async def take(log: EventLog, number: int, *, after: int = 0, subject: str = ">") -> list[Stored]:
    """The first `number` events that `follow` gives."""
    seen: list[Stored] = []
    async with asyncio.timeout(30), aclosing(log.follow(after=after, subject=subject)) as batches:
        async for batch in batches:
            seen += batch
            if len(seen) >= number:
                break
    return seen


class EventLogContract:
    """Inherit it, and give a fixture `log` that is a new, empty log in each test."""

    async def test_append_of_one_gives_its_sequence(self, log: EventLog) -> None:
        assert await log.append([a_draft("evt.a")]) == [1]
        assert await log.append([a_draft("evt.b")]) == [2]

    async def test_append_of_many_gives_their_sequences_in_order(self, log: EventLog) -> None:
        await log.append([a_draft("evt.a")])
        assert await log.append(drafts(5)) == [2, 3, 4, 5, 6]

    async def test_append_of_nothing_appends_nothing(self, log: EventLog) -> None:
        assert await log.append([]) == []
        assert await log.last_sequence() == 0

    async def test_the_largest_batch_is_appended(self, log: EventLog) -> None:
        assert await log.append(drafts(BATCH_MAX)) == list(range(1, BATCH_MAX + 1))

    async def test_a_batch_over_the_limit_is_too_large(self, log: EventLog) -> None:
        with pytest.raises(TooLarge, match=f"{BATCH_MAX + 1} events"):
            await log.append(drafts(BATCH_MAX + 1))

    async def test_the_largest_event_is_appended(self, log: EventLog) -> None:
        body = b"x" * BODY_BYTES_MAX
        await log.append([a_draft("evt.a", body=body)])
        stored = await log.last("evt.a")
        assert stored is not None
        assert stored.body == body

    async def test_an_event_over_the_limit_is_too_large(self, log: EventLog) -> None:
        with pytest.raises(TooLarge, match=r"evt\.b"):
            await log.append([a_draft("evt.a"), a_draft("evt.b", body=b"x" * (BODY_BYTES_MAX + 1))])
        assert await log.last_sequence() == 0

    async def test_events_too_large_together_are_refused(self, log: EventLog) -> None:
        body = b"x" * BODY_BYTES_MAX
        with pytest.raises(TooLarge, match="at once"):
            await log.append([a_draft(f"evt.{index}", body=body) for index in range(9)])

    @pytest.mark.parametrize("subject", ["", "evt.a b", "evt.a\r\nPUB x", "evt.ü"])
    async def test_a_subject_that_cannot_go_over_the_wire_is_refused(self, log: EventLog, subject: str) -> None:
        with pytest.raises(ValueError, match="printable ASCII"):
            await log.append([a_draft(subject)])

    async def test_two_events_for_one_subject_are_refused(self, log: EventLog) -> None:
        with pytest.raises(ValueError, match="same subject"):
            await log.append([a_draft("evt.a"), a_draft("evt.a")])

    async def test_a_taken_subject_is_a_conflict(self, log: EventLog) -> None:
        await log.append([a_draft("evt.a")])
        with pytest.raises(Conflict) as caught:
            await log.append([a_draft("evt.a")])
        assert (caught.value.subject, caught.value.expected, caught.value.actual) == ("evt.a", 0, 1)

    async def test_one_conflict_keeps_the_whole_batch_out(self, log: EventLog) -> None:
        await log.append([a_draft("evt.b")])
        with pytest.raises(Conflict, match=r"evt\.b: expected last sequence 0, the log has 1"):
            await log.append([a_draft("evt.a"), a_draft("evt.b"), a_draft("evt.c")])
        assert await log.last_sequence() == 1

    async def test_repeating_an_event_gives_its_sequence_again(self, log: EventLog) -> None:
        draft = a_draft("evt.a")
        assert await log.append([draft]) == await log.append([draft]) == [1]
        assert await log.last_sequence() == 1

    async def test_repeating_a_batch_gives_its_sequences_again(self, log: EventLog) -> None:
        batch = drafts(20)
        first = await log.append(batch)
        await log.append([a_draft("evt.other")])
        assert await log.append(batch) == first
        assert await log.last_sequence() == 21

    async def test_a_batch_of_which_a_part_is_there_is_completed(self, log: EventLog) -> None:
        batch = drafts(5)
        await log.append(batch[1:3])
        assert await log.append(batch) == [3, 1, 2, 4, 5]

    async def test_an_event_can_follow_the_expected_one_at_its_subject(self, log: EventLog) -> None:
        await log.append([a_draft("evt.other"), a_draft("evt.a")])
        assert await log.append([a_draft("evt.a", expected_last=2)]) == [3]

    async def test_an_event_that_expects_another_last_sequence_is_a_conflict(self, log: EventLog) -> None:
        await log.append([a_draft("evt.other"), a_draft("evt.a")])
        with pytest.raises(Conflict, match="expected last sequence 1, the log has 2"):
            await log.append([a_draft("evt.a", expected_last=1)])
        with pytest.raises(Conflict, match="expected last sequence 5, the log has 0"):
            await log.append([a_draft("evt.b", expected_last=5)])

    async def test_an_event_that_must_follow_the_newest_follows_it(self, log: EventLog) -> None:
        await log.append([a_draft("evt.other")])
        draft = a_draft("evt.a")._replace(log_ends_at=1)
        assert await log.append([draft]) == [2]
        assert await log.append([draft]) == [2]

    async def test_an_event_that_must_follow_the_newest_is_a_conflict_once_there_is_a_newer(
        self, log: EventLog
    ) -> None:
        await log.append([a_draft("evt.other"), a_draft("evt.unseen")])
        with pytest.raises(Conflict, match="the whole log: expected last sequence 1, the log has 2"):
            await log.append([a_draft("evt.a")._replace(log_ends_at=1)])
        assert await log.last("evt.a") is None

    async def test_a_batch_that_must_follow_the_newest_follows_it(self, log: EventLog) -> None:
        await log.append([a_draft("evt.other")])
        batch = [a_draft("evt.a")._replace(log_ends_at=1), a_draft("evt.b")]
        assert await log.append(batch) == [2, 3]
        assert await log.append(batch) == [2, 3]

    async def test_a_batch_that_must_follow_the_newest_is_a_conflict_once_there_is_a_newer(
        self, log: EventLog
    ) -> None:
        await log.append([a_draft("evt.other"), a_draft("evt.unseen")])
        with pytest.raises(Conflict, match="the whole log: expected last sequence 1, the log has 2"):
            await log.append([a_draft("evt.a")._replace(log_ends_at=1), a_draft("evt.b")])
        assert await log.last_sequence() == 2

    async def test_only_the_first_of_a_batch_says_what_the_newest_is(self, log: EventLog) -> None:
        with pytest.raises(ValueError, match="goes with the first event"):
            await log.append([a_draft("evt.a"), a_draft("evt.b")._replace(log_ends_at=0)])

    async def test_of_many_writers_to_one_subject_one_wins(self, log: EventLog) -> None:
        rivals = [a_draft("evt.a") for _ in range(20)]
        results = await asyncio.gather(*(log.append([rival]) for rival in rivals), return_exceptions=True)
        assert results.count([1]) == 1
        assert sum(isinstance(result, Conflict) for result in results) == 19

    async def test_overlapping_batches_of_rivals_are_never_mixed(self, log: EventLog) -> None:
        rivals = [drafts(10) for _ in range(8)]
        results = await asyncio.gather(*(log.append(rival) for rival in rivals), return_exceptions=True)
        assert sum(isinstance(result, Conflict) for result in results) == 7
        assert await log.last_sequence() == 10

    async def test_last_reads_own_writes(self, log: EventLog) -> None:
        assert await log.last("evt.a") is None
        await log.append([a_draft("evt.a", body=b"\x00\xff\r\n exact")])
        assert await log.last("evt.a") == Stored(1, "evt.a", b"\x00\xff\r\n exact")
        await log.append([a_draft("evt.a", body=b"2", expected_last=1)])
        assert await log.last("evt.a") == Stored(2, "evt.a", b"2")

    async def test_at_gives_the_event_at_a_position(self, log: EventLog) -> None:
        await log.append([a_draft("evt.a", body=b"1"), a_draft("evt.b", body=b"")])
        assert await log.at(1) == Stored(1, "evt.a", b"1")
        assert await log.at(2) == Stored(2, "evt.b", b"")
        assert await log.at(3) is None
        assert await log.at(0) is None

    async def test_the_identity_stays(self, log: EventLog) -> None:
        before = await log.identity()
        await log.append([a_draft("evt.a")])
        assert await log.identity() == before != ""

    async def test_read_gives_everything_in_order(self, log: EventLog) -> None:
        batch = drafts(2_500)
        for start in range(0, len(batch), BATCH_MAX):
            await log.append(batch[start : start + BATCH_MAX])
        assert await everything(log) == [
            Stored(index + 1, draft.subject, draft.body) for index, draft in enumerate(batch)
        ]

    async def test_read_of_an_empty_log_ends(self, log: EventLog) -> None:
        assert await everything(log) == []

    async def test_read_starts_after_a_position(self, log: EventLog) -> None:
        await log.append(drafts(10))
        assert [stored.sequence for stored in await everything(log, after=7)] == [8, 9, 10]
        assert await everything(log, after=10) == []
        assert await everything(log, after=99) == []

    @pytest.mark.parametrize(
        ("subject", "expected"),
        [
            (">", [1, 2, 3, 4, 5]),
            ("evt.>", [1, 2, 3, 4, 5]),
            ("evt.cycle.1.>", [1, 2, 3]),
            ("evt.cycle.*.plan", [1, 4]),
            ("evt.cycle.*.episode.>", [2, 3]),
            ("evt.*", [5]),
            ("evt.cycle.1.plan", [1]),
            ("evt.cycle.7.>", []),
            ("evt.cycle.1", []),
        ],
    )
    async def test_read_selects_by_subject(self, log: EventLog, subject: str, expected: list[int]) -> None:
        names = ("cycle.1.plan", "cycle.1.episode.0.a", "cycle.1.episode.1.a", "cycle.2.plan", "other")
        await log.append([a_draft(f"evt.{name}") for name in names])
        assert [stored.sequence for stored in await everything(log, subject=subject)] == expected

    async def test_read_selects_by_several_filters_in_the_order_of_the_log(self, log: EventLog) -> None:
        await log.append([a_draft(subject) for index in range(5) for subject in (f"evt.a.{index}", f"evt.b.{index}")])
        chosen = await everything(log, after=2, subject=("evt.b.*", "evt.a.0", "evt.a.3", "evt.nothing.>"))
        assert [stored.sequence for stored in chosen] == [4, 6, 7, 8, 10]

    async def test_read_selects_by_subject_after_a_position(self, log: EventLog) -> None:
        await log.append([a_draft(f"evt.{kind}.{index}") for index in range(5) for kind in ("a", "b")])
        assert [stored.sequence for stored in await everything(log, after=3, subject="evt.a.*")] == [5, 7, 9]

    async def test_read_ends_with_what_was_there_when_it_began(self, log: EventLog) -> None:
        await log.append(drafts(5))
        seen: list[Stored] = []
        async for batch in log.read():
            seen += batch
            await log.append([a_draft(f"evt.later.{len(seen)}")])
        assert [stored.sequence for stored in seen] == [1, 2, 3, 4, 5]

    async def test_follow_goes_from_history_to_live(self, log: EventLog) -> None:
        await log.append(drafts(10))

        async def go_on() -> None:
            for index in range(50):
                await log.append([a_draft(f"evt.live.{index}")])

        seen, _ = await asyncio.gather(take(log, 60), go_on())
        assert [stored.sequence for stored in seen] == list(range(1, 61))

    async def test_follow_starts_after_a_position(self, log: EventLog) -> None:
        await log.append(drafts(10))
        assert [stored.sequence for stored in await take(log, 2, after=8)] == [9, 10]

    async def test_follow_selects_by_subject(self, log: EventLog) -> None:
        async def go_on() -> None:
            for index in range(20):
                await log.append([a_draft(f"evt.{'ab'[index % 2]}.{index}")])

        seen, _ = await asyncio.gather(take(log, 10, subject="evt.b.*"), go_on())
        assert [stored.sequence for stored in seen] == list(range(2, 21, 2))

    async def test_follow_waits_for_an_empty_log(self, log: EventLog) -> None:
        following = asyncio.create_task(take(log, 1))
        await log.append([a_draft("evt.first", body=b"first")])
        assert await following == [Stored(1, "evt.first", b"first")]

    async def test_followers_see_appends_of_concurrent_writers_in_one_order(self, log: EventLog) -> None:
        async def write(writer: int) -> None:
            for index in range(10):
                await log.append(drafts(5, prefix=f"evt.writer.{writer}.{index}"))

        followers = asyncio.gather(take(log, 200), take(log, 200))
        await asyncio.gather(*map(write, range(4)))
        first, second = await followers
        assert first == second
        assert [stored.sequence for stored in first] == list(range(1, 201))
