"""The newest events, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from api.stream.entries import Entry
from api.stream.wanted import Wanted


class Part(NamedTuple):
    """Wanted events, and the sequence up to which they are all of them."""

    entries: list[Entry]
    position: int


class Ring:
    """All events past sequence `start`, up to `newest`; the oldest make room for new ones."""

    def __init__(self, after: int, *, entries_max: int, bytes_max: int) -> None:
        self.start = self.newest = after
        self._entries: list[Entry] = []
        self._entries_max, self._bytes_max = entries_max, bytes_max
        self._bytes = 0

    def add(self, entries: Sequence[Entry]) -> None:
        """Those that follow `newest`, without a gap."""
        for entry in entries:
            if entry.sequence != self.newest + 1:
                raise ValueError(f"sequence {entry.sequence} cannot follow {self.newest}")
            self.newest = entry.sequence
            self._bytes += len(entry.frame)
        self._entries.extend(entries)
        self._make_room()

    def after(self, position: int, wanted: Wanted, bytes_max: int) -> Part:
        """What is wanted past `position`, which must not be before `start`: up to `bytes_max` and one event."""
        chosen: list[Entry] = []
        size = 0
        for index in range(position - self.start, len(self._entries)):
            entry = self._entries[index]
            if wanted.has(entry):
                chosen.append(entry)
                size += len(entry.frame)
                if size >= bytes_max:
                    return Part(chosen, entry.sequence)
        return Part(chosen, max(position, self.newest))

    def _make_room(self) -> None:
        drop = max(0, len(self._entries) - self._entries_max)
        self._bytes -= sum(len(entry.frame) for entry in self._entries[:drop])
        while self._bytes > self._bytes_max and drop < len(self._entries):
            self._bytes -= len(self._entries[drop].frame)
            drop += 1
        del self._entries[:drop]
        self.start += drop
