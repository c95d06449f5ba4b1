"""Films and sheets of episodes, drawn by a child process: the API itself knows no simulator.

`kinitro episode render` does it, as anybody could at home, from the log and the recording. Drawing costs a core for
seconds or, where there is no GPU, half a minute, so one is drawn at a time, a few may wait, and what was drawn is
kept while there is room.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import sys
import tempfile
from collections import OrderedDict
from pathlib import Path

import structlog

from api.problems import Problem
from api.stream.ends import Stopping

PROGRAM = Path(__file__).resolve().parents[1] / "kinitro.py"
WAITING_MAX = 4
DRAWN_WITHIN_S = 600.0
"""Without a GPU a picture takes 0.2 s, and a film has up to 170, on a machine that may have other work."""
KEPT_BYTES_MAX = 128 << 20
ENDED_WITHIN_S = 5.0

AGAIN = {"Retry-After": "5"}

log = structlog.stdlib.get_logger(__name__)


class Films:
    """What was drawn lately, and the one drawing that is under way."""

    def __init__(self, nats_url: str, stopping: asyncio.Event) -> None:
        """`stopping` is set when the process is to end, which waits for no film."""
        self._nats_url, self._stopping = nats_url, stopping
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._drawing = asyncio.Lock()
        self._asked = 0

    async def film(self, episode: str, recording: bytes, suffix: str) -> bytes:
        """The film or sheet of this recording of an episode whose cycle has ended.

        Raises:
            Problem: too many ask, it could not be drawn, or the process ends.
        """
        drawing = asyncio.create_task(self._film(episode, recording, suffix))
        ending = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({drawing, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks = {drawing, ending}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if drawing.cancelled():
            raise Stopping("this copy of the API stops, and draws nothing more; ask again").problem()
        return drawing.result()

    async def _film(self, episode: str, recording: bytes, suffix: str) -> bytes:
        name = hashlib.sha256(recording).hexdigest() + suffix
        if (kept := self._take(name)) is not None:
            return kept
        if self._asked >= WAITING_MAX:
            raise Problem(503, "too-many-films", "Too many films", "others wait already; try again", headers=AGAIN)
        self._asked += 1
        try:
            async with self._drawing:
                kept = self._take(name)  # who waited before may have asked for the same
                return kept if kept is not None else self._keep(name, await self._drawn(episode, suffix))
        finally:
            self._asked -= 1

    def _take(self, name: str) -> bytes | None:
        if name in self._kept:
            self._kept.move_to_end(name)
        return self._kept.get(name)

    def _keep(self, name: str, film: bytes) -> bytes:
        self._kept[name] = film
        while sum(map(len, self._kept.values())) > KEPT_BYTES_MAX:
            self._kept.popitem(last=False)
        return film

    async def _drawn(self, episode: str, suffix: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="kinitro-film-") as directory:
            out = Path(directory) / f"film{suffix}"
            command = ("episode", "render", episode, "--out", str(out))
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, str(PROGRAM), *command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=os.environ | {"KINITRO_BACKEND_NATS_URL": self._nats_url},  # where `ps` shows no password
                start_new_session=True,
            )
            try:
                async with asyncio.timeout(DRAWN_WITHIN_S):
                    _, told = await process.communicate()
            except TimeoutError as error:
                detail = f"episode {episode} was not drawn within {DRAWN_WITHIN_S:g} s; this machine may be busy"
                raise Problem(503, "no-film", "Not drawn", detail, headers=AGAIN) from error
            finally:
                await _ended(process)
            if process.returncode or not out.exists():
                reason = told.decode(errors="replace").strip()[-500:]
                log.warning("an episode could not be drawn", episode=episode, reason=reason)
                detail = f"episode {episode} could not be drawn where the API runs; its log says why"
                raise Problem(503, "no-film", "Not drawn", detail)
            return out.read_bytes()


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Ends it with all that it has started."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        async with asyncio.timeout(ENDED_WITHIN_S):
            await process.wait()
