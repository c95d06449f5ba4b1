"""What containers say, line by line on our standard error, each line with who said it."""

from __future__ import annotations

from collections import deque
from typing import TextIO

LINE_MAX = 16_384
"""Characters; what a longer line has beyond is left out."""
KEPT = 3


class Lines:
    """Cuts the pieces that an engine hands over into lines.

    A line of structured logs says itself who wrote it, and stays one for the programs that read it.
    """

    def __init__(self, speaker: str, out: TextIO) -> None:
        self._speaker, self._out = speaker, out
        self._begun = ""
        self._last: deque[str] = deque(maxlen=KEPT)

    @property
    def last_words(self) -> str:
        """The last lines, as one."""
        return " / ".join(line.strip() for line in self._last if line.strip())

    def take(self, piece: str) -> None:
        *whole, self._begun = (self._begun + piece).split("\n")
        self._begun = self._begun[:LINE_MAX]
        for line in whole:
            self._say(line)
        self._out.flush()

    def end(self) -> None:
        """There will be no more."""
        if self._begun:
            self._say(self._begun)
            self._begun = ""
            self._out.flush()

    def _say(self, line: str) -> None:
        line = line[:LINE_MAX].rstrip("\r")
        self._last.append(line)
        self._out.write(f"{line}\n" if line.startswith("{") else f"{self._speaker}: {line}\n")
