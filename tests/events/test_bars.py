"""Bars of long commands: what they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from events.bars import bar, counted, placed, silent


class Told:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.last: tuple[int, int | None] | None = None

    def __call__(self, done: int, total: int | None, what: str | None = None, /) -> None:
        self.last = (done, total)


def test_without_a_terminal_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("events") as tell:
        tell(1, 2)
    assert tell is silent
    assert capsys.readouterr() == ("", "")


def test_items_are_counted_and_passed_on() -> None:
    told = Told()
    assert list(counted("abc", told, 3)) == ["a", "b", "c"]
    assert told.last == (3, 3)


def test_no_items_are_none() -> None:
    told = Told()
    assert list(counted("", told)) == []
    assert told.last == (0, None)


async def test_a_place_is_told_of_the_end() -> None:
    async def items() -> AsyncIterator[int]:
        yield 40

    told = Told()
    assert [item async for item in placed(items(), told, lambda item: item, 50)] == [40]
    assert told.last == (40, 50)
