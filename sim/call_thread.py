"""A thread that an event loop can call: a few microseconds a call, where an executor takes ten."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)


class CallThread:
    """Calls functions in the order in which they were given. To be used from one event loop, until `end`."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._answered: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        # A daemon: a call that never ends must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function returns or raises. A cancelled call may still run to its end."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        call = functools.partial(function, *args, **kwargs)
        self._calls.put(lambda: self._answer(loop, answer, call))
        return await answer

    def submit(self, function: Callable[[], object]) -> None:
        """Call it after all that was given before. Nobody waits for it, so an error is logged."""
        self._calls.put(lambda: _logged(function))

    def end(self) -> None:
        """The thread ends after all that was given before."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def _answer(self, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T], call: Callable[[], T]) -> None:
        try:
            self._answered.append((answer, call(), None))
        except BaseException as error:  # noqa: BLE001 whoever waits must learn of it
            self._answered.append((answer, None, error))
        if len(self._answered) == 1 and not loop.is_closed():  # woken once for all that it has not yet seen
            loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        while self._answered:
            answer, result, error = self._answered.popleft()
            if answer.done():
                continue
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)


def _logged(function: Callable[[], object]) -> None:
    try:
        function()
    except Exception:
        logger.exception("a call that nobody waited for failed")
