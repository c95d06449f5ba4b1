"""What becomes of stretches when a process that folds is gone."""

from __future__ import annotations

import socket

from projectors.crew import Crew
from projectors.messages import Orders, Stretch


async def test_a_process_that_ends_while_it_is_told_more_answers_for_none() -> None:
    here, there = socket.socketpair()
    crew = Crew()
    await crew.add(here, Orders("nats://127.0.0.1:4222", "a log"))
    there.close()
    answers = [await crew.submit(Stretch(number, number, number + 1, ())) for number in range(3)]
    assert [await answer for answer in answers] == [None] * 3
    await crew.close()
