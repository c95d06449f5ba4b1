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
from projectors.folding import LANES, Folded, Orders, Stretch, frame, next_message

END_TIMEOUT_S = 5.0


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
    """Several processes that fold. Each stretch goes to one that has time."""

    def __init__(self) -> None:
        self._free: asyncio.Queue[_Folder] = asyncio.Queue()
        self._folders: list[_Folder] = []

    async def add(self, here: socket.socket, orders: Orders) -> None:
        folder = _Folder(*await asyncio.open_connection(sock=here), self._free)
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
        self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter, free: asyncio.Queue[_Folder]
    ) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._free = free
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
            self.tell(stretch)
        return answer

    def tell(self, message: object) -> None:
        """Does not wait: messages are small, and few are under way."""
        self._outgoing.write(frame(message))

    async def close(self) -> None:
        self._outgoing.close()
        self._reading.cancel()
        await asyncio.wait({self._reading})

    async def _read(self) -> None:
        try:
            while True:
                number, folded = await next_message(self._incoming)
                self._asked.pop(number).set_result(folded)
                self._free.put_nowait(self)
        except (asyncio.IncompleteReadError, OSError):
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_result(None)
            self._free.put_nowait(self)  # who waits for somebody with time hears of it, too
