"""A terminal taken over for a while: its other screen, its keys one by one; and given back whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import termios
import tty
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

READ_BYTES = 1_024


class Key(StrEnum):
    """What can be pressed; all else does nothing."""

    UP = "up"
    DOWN = "down"
    PAGE_UP = "page up"
    PAGE_DOWN = "page down"
    HOME = "home"
    END = "end"
    REDRAW = "redraw"
    QUIT = "quit"


KEYS = {
    b"\x1b[A": Key.UP,
    b"\x1bOA": Key.UP,
    b"k": Key.UP,
    b"\x1b[B": Key.DOWN,
    b"\x1bOB": Key.DOWN,
    b"j": Key.DOWN,
    b"\x1b[5~": Key.PAGE_UP,
    b"\x1b[6~": Key.PAGE_DOWN,
    b" ": Key.PAGE_DOWN,
    b"\x1b[H": Key.HOME,
    b"\x1bOH": Key.HOME,
    b"\x1b[1~": Key.HOME,
    b"\x1b[F": Key.END,
    b"\x1bOF": Key.END,
    b"\x1b[4~": Key.END,
    b"\x0c": Key.REDRAW,
    b"q": Key.QUIT,
    b"Q": Key.QUIT,
}
"""As terminals send them, in both of their modes."""

_PRESSED = re.compile(rb"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])|.", re.DOTALL)
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-9;]{0,16}|O)?\Z")


class Keyboard:
    """Bytes as they come, cut anywhere -> keys."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, arrived: bytes) -> list[Key]:
        arrived = self._rest + arrived
        cut = _UNFINISHED.search(arrived)
        self._rest = cut.group() if cut else b""
        whole = arrived[: len(arrived) - len(self._rest)]
        return [KEYS[pressed] for pressed in _PRESSED.findall(whole) if pressed in KEYS]


class Screen:
    """The terminal of standard input and output, while it is ours; stopping (Ctrl-Z) and going on included."""

    def __init__(self, console: Console, pressed: Callable[[Key], None], *, keyboard: int | None) -> None:
        self._console, self._pressed, self._keyboard = console, pressed, keyboard
        self._keys = Keyboard()
        self._live: Live | None = None
        self._before: list[Any] = []

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in characters."""
        return self._console.size.width, self._console.size.height

    def draw(self, lines: list[Text]) -> None:
        if self._live is not None:
            self._live.update(Group(*lines), refresh=True)

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Ours within the block. Must be entered in the event loop."""
        loop = asyncio.get_running_loop()
        self._take()
        loop.add_signal_handler(signal.SIGTSTP, self._stop)
        if self._keyboard is not None:
            loop.add_reader(self._keyboard, self._read)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGTSTP)
            if self._keyboard is not None:
                loop.remove_reader(self._keyboard)
            self._give_back()

    def _take(self) -> None:
        if self._keyboard is not None:
            self._before = termios.tcgetattr(self._keyboard)
            tty.setcbreak(self._keyboard, termios.TCSADRAIN)
        # Ours to redraw, and only ours to write to: nothing is redirected.
        self._live = Live(
            console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        try:
            self._live.start()
        except BaseException:
            self._give_back()
            raise

    def _give_back(self) -> None:
        live, self._live = self._live, None
        try:
            if live is not None:
                live.stop()
        finally:
            if self._keyboard is not None:
                with contextlib.suppress(termios.error):  # the terminal is gone, and there is nothing to give back
                    termios.tcsetattr(self._keyboard, termios.TCSADRAIN, self._before)

    def _stop(self) -> None:
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)  # what SIGTSTP would have done; the next line is after `fg`
        self._take()
        self._pressed(Key.REDRAW)

    def _read(self) -> None:
        assert self._keyboard is not None
        try:
            arrived = os.read(self._keyboard, READ_BYTES)
        except OSError:  # as at the end of a terminal
            arrived = b""
        if not arrived:
            asyncio.get_running_loop().remove_reader(self._keyboard)
        for key in self._keys.take(arrived):
            self._pressed(key)
