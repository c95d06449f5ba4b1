"""How far a long command is, on standard error: a bar where that is a terminal, and nothing anywhere else.

Standard output stays as it is, for programs and for people alike.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")


class Tell(Protocol):
    """Is told how much is done, of how much (None: nobody knows), and what is being done, if that changes."""

    def __call__(self, done: int, total: int | None, what: str | None = None, /) -> None: ...


EVERY_S = 0.1
"""How often a bar is told at most: more nobody sees."""


def silent(done: int, total: int | None, what: str | None = None, /) -> None:
    """Tells nobody."""


@contextmanager
def bar(what: str, *, shown: bool = True) -> Iterator[Tell]:
    """A bar for as long as the block runs; it leaves nothing behind. With `shown` false there is none."""
    if not (shown and sys.stderr.isatty()):
        yield silent
        return
    columns = (TextColumn("{task.description}"), BarColumn(), _Count(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)

        def tell(done: int, total: int | None, what: str | None = None, /) -> None:
            progress.update(task, completed=done, total=total, description=what)

        yield tell


def counted(items: Iterable[T], tell: Tell, total: int | None = None) -> Iterator[T]:
    """The same items; tells now and then how many have been taken."""
    told_at, done = 0.0, 0
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - told_at >= EVERY_S:
            told_at = time.monotonic()
            tell(done, total)
    tell(done, total)


async def placed(items: AsyncIterator[T], tell: Tell, place: Callable[[T], int], end: int) -> AsyncIterator[T]:
    """The same items; tells now and then where of `end` the last one stands."""
    told_at = 0.0
    async for item in items:
        yield item
        if time.monotonic() - told_at >= EVERY_S:
            told_at = time.monotonic()
            tell(place(item), end)


class _Count(ProgressColumn):
    """How much, of how much, and how much in a second."""

    def render(self, task: Task) -> Text:
        if task.total is not None:
            text = f"{task.completed:,.0f} of {task.total:,.0f}"
        else:
            text = f"{task.completed:,.0f}" if task.completed else ""
        return Text(f"{text} ({task.speed:,.0f}/s)" if task.speed else text)
