"""Follows a source and shows it: on a terminal in place, elsewhere a line now and then."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator

from rich.console import Console

from events.display import result_view
from events.envelope import utc_now
from events.top.page import Link, Page, Window, page, span
from events.top.sources import Source
from events.top.terminal import Key, Screen
from events.top.watched import Snapshot, Watched

DRAW_EVERY_S = 0.25
"""Seldom enough to cost next to nothing, often enough to look alive."""

TICK_S = 1.0
"""Times and rates go on although nothing happens."""


async def show(source: Source, console: Console) -> None:
    """Until somebody quits, or for ever.

    Raises:
        ForPeople: as `Source.follow`.
    """
    if console.is_terminal and not console.is_dumb_terminal:
        await _Shown(source, console).run()
    else:
        await _report(source, console)


class _Shown:
    def __init__(self, source: Source, console: Console) -> None:
        self._source, self._watched = source, Watched()
        keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._screen = Screen(console, self._press, keyboard=keyboard)
        self._page = Page([], 0, 0)
        self._first = 0
        self._quit = False
        self._pressed = asyncio.Event()
        self._last_connected = time.monotonic()

    async def run(self) -> None:
        reading = asyncio.create_task(read(self._source, self._watched))
        try:
            with self._screen.taken():
                await self._draw_until_quit(reading)
            if reading.done():
                await reading
        finally:
            reading.cancel()
            await asyncio.wait({reading})

    async def _draw_until_quit(self, reading: asyncio.Task[None]) -> None:
        drawn, drawn_at = -1, 0.0
        while not self._quit and not reading.done():
            now = time.monotonic()
            if self._pressed.is_set() or self._watched.sequence != drawn or now - drawn_at >= TICK_S:
                self._pressed.clear()
                drawn, drawn_at = self._watched.sequence, now
                self._draw(now)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAW_EVERY_S):
                    await self._pressed.wait()

    def _draw(self, now: float) -> None:
        if self._source.connected:
            self._last_connected = now
        away_s = now - self._last_connected
        link = Link(self._source.where, away_s if away_s > 0 else None)
        self._page = page(self._watched, Window(*self._screen.size, self._first), link, utc_now())
        self._first = self._page.first
        self._screen.draw(self._page.lines)

    def _press(self, key: Key) -> None:
        step = max(1, self._page.shown - 1)
        match key:
            case Key.UP:
                self._first -= 1
            case Key.DOWN:
                self._first += 1
            case Key.PAGE_UP:
                self._first -= step
            case Key.PAGE_DOWN:
                self._first += step
            case Key.HOME:
                self._first = 0
            case Key.END:
                self._first = sys.maxsize
            case Key.QUIT:
                self._quit = True
            case Key.REDRAW:
                pass
        self._first = max(0, self._first)
        self._pressed.set()


async def read(source: Source, watched: Watched) -> None:
    """Keeps `watched` as the source has it, for ever.

    Raises:
        ForPeople: as `Source.follow`.
    """
    async for _ in _pieces(source, watched):
        pass


async def _pieces(source: Source, watched: Watched) -> AsyncIterator[None]:
    """After each piece that the source gives."""
    async for piece in source.follow():
        if isinstance(piece, Snapshot):
            watched.restore(piece)
        else:
            for recorded in piece:
                watched.apply(recorded)
        yield


async def _report(source: Source, console: Console) -> None:
    """A line for each tenth of a cycle, and what came out."""
    watched, reported, resulted = Watched(), (0, -1), 0
    async for _ in _pieces(source, watched):
        plan = watched.progress.plan
        if plan is None:
            continue
        tenth = (plan.cycle, 10 * watched.progress.done // max(1, plan.episodes_planned))
        if tenth != reported:
            reported = tenth
            left_s = watched.left_s(utc_now())
            left = f", {span(left_s)} left" if left_s and watched.progress.ended is None else ""
            console.print(f"cycle {plan.cycle}: {watched.progress.done} of {plan.episodes_planned} episodes{left}")
        if watched.result is not None and resulted != plan.cycle:
            resulted = plan.cycle
            console.print(result_view(watched.result))
