"""The processes that fold for a bulk build, as seen by the one that started them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import projectors
from projectors.folding import LANES
from projectors.messages import Folded, Orders, Rows, Stretch, receive, send

END_TIMEOUT_S = 5.0
ROWS_MAX = 4
"""So many packets of rows wait to be written; then the processes wait, too."""
READ_BYTES = 16 * 1024 * 1024
"""How much of a packet is taken in before its reader is asked again."""


@asynccontextmanager
async def crew(processes: int, orders: Orders) -> AsyncIterator[Crew]:
    """So many processes, at work for as long as this is open."""
    pairs = [socket.socketpair() for _ in range(processes)]
    theirs = [there.fileno() for _, there in pairs]
    try:
        first = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "projectors.folding", *map(str, theirs)),
            pass_fds=theirs,
            cwd=Path(projectors.__file__).parent.parent,
            start_new_session=True,  # what a terminal tells all is for the one that builds
        )
    finally:
        for _, there in pairs:
            there.close()
    them = Crew()
    try:
        for here, _ in pairs:
            await them.add(here, orders)
        yield them
    finally:
        await them.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT_S):
                await first.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
        await first.wait()


class Crew:
    """Several processes that fold. Each stretch goes to one that has time.

    `rows` are there to be written in any order; `task_done` is to be called for each. Those of a stretch are there
    before its answer is.
    """

    def __init__(self) -> None:
        self.rows: asyncio.Queue[Rows] = asyncio.Queue(ROWS_MAX)
        self._free: asyncio.Queue[_Folder] = asyncio.Queue()
        self._folders: list[_Folder] = []

    async def add(self, here: socket.socket, orders: Orders) -> None:
        folder = _Folder(*await asyncio.open_connection(sock=here, limit=READ_BYTES), self._free, self.rows)
        self._folders.append(folder)
        folder.tell(orders)

    async def submit(self, stretch: Stretch) -> asyncio.Future[Folded | None]:
        """Returns once one of them has taken it. The answer is None where that process has ended."""
        folder = await self._free.get()
        return folder.ask(stretch)

    async def close(self) -> None:
        await asyncio.gather(*(folder.close() for folder in self._folders))


class _Folder:
    def __init__(
        self,
        incoming: asyncio.StreamReader,
        outgoing: asyncio.StreamWriter,
        free: asyncio.Queue[_Folder],
        rows: asyncio.Queue[Rows],
    ) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._free, self._rows = free, rows
        self._asked: dict[int, asyncio.Future[Folded | None]] = {}
        self._reading = asyncio.create_task(self._read())
        for _ in range(LANES):
            free.put_nowait(self)

    def ask(self, stretch: Stretch) -> asyncio.Future[Folded | None]:
        answer: asyncio.Future[Folded | None] = asyncio.get_running_loop().create_future()
        if self._reading.done():
            answer.set_result(None)
        else:
            self._asked[stretch.number] = answer
            with contextlib.suppress(OSError):  # it has just ended: `_read` hears of it, and answers
                self.tell(stretch)
        return answer

    def tell(self, message: object) -> None:
        """Does not wait: messages are small, and few are under way."""
        send(self._outgoing, message)

    async def close(self) -> None:
        self._outgoing.close()
        self._reading.cancel()
        await asyncio.wait({self._reading})

    async def _read(self) -> None:
        try:
            while True:
                message = await receive(self._incoming)
                if isinstance(message, Rows):
                    await self._rows.put(message)
                    continue
                number, folded = message
                self._asked.pop(number).set_result(folded)
                self._free.put_nowait(self)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_result(None)
            self._free.put_nowait(self)  # who waits for somebody with time hears of it, too
