"""The one thread of a process on which physics and drawing happen, and the environments that live there.

Neither MuJoCo's contexts nor MetaWorld's environments may be shared between threads, and stepping them in the
event loop would make every policy look slow. Two stepping threads are slower than one: use more processes
instead.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from events.variation import NO_VARIATION, VariationRanges
from sim.cameras import Renderer, find_profile
from sim.errors import SimError, SimulationFailed
from sim.suite import find, make

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from concurrent.futures import Future
    from types import TracebackType

    from events.ids import EnvId
    from sim.cameras import Graphics
    from sim.environment import Environment

P = ParamSpec("P")
T = TypeVar("T")

_Key = tuple[str, str, int, VariationRanges]
"""Environment id, profile name, step limit, ranges of variation."""

logger = logging.getLogger(__name__)


class SimulationThread:
    """The environments and the renderer of a process: `async with SimulationThread() as stage`."""

    def __init__(self, *, idle_environments_max: int = 16, graphics: Graphics = "auto") -> None:
        """`idle_environments_max`: how many unused environments (about 18 MB each) are kept for reuse."""
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="simulation")
        self._answered: deque[tuple[asyncio.Future[Any], Callable[[], None]]] = deque()
        self._idle: OrderedDict[int, tuple[_Key, Environment]] = OrderedDict()
        self._idle_environments_max = idle_environments_max
        self._renderer = Renderer(graphics)

    async def __aenter__(self) -> SimulationThread:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function on the simulation thread.

        A cancelled call may still run to its end; whatever is called later runs after it.

        Raises:
            SimulationFailed: the function raised something that is not one of our own errors.
        """
        call = functools.partial(function, *args, **kwargs)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._executor.submit(self._answer, loop, answer, call)
        return await answer

    @asynccontextmanager
    async def environment(
        self, env: EnvId, profile: str, *, max_steps: int, variation: VariationRanges = NO_VARIATION
    ) -> AsyncIterator[Environment]:
        """Borrow an environment that nobody else uses meanwhile; it must be reset before its first step.

        After an error of the simulation it is thrown away, after anything else (cancellation too) it is kept
        for reuse: its next reset makes it as good as new.

        Raises:
            UnknownEnvironment, UnknownProfile, GraphicsUnavailable, SimulationFailed: it cannot be had.
        """
        key = (find(env), find_profile(profile).name, max_steps, variation)
        borrowing: Future[Environment] = self._executor.submit(_guarded, functools.partial(self._borrow, key))
        try:
            environment = await asyncio.wrap_future(borrowing)
        except asyncio.CancelledError:
            borrowing.add_done_callback(lambda future: self._return_unused(key, future))
            raise
        try:
            yield environment
        except SimError:
            self._executor.submit(environment.close)
            raise
        except BaseException:
            self._executor.submit(self._give_back, key, environment)
            raise
        self._executor.submit(self._give_back, key, environment)

    async def close(self) -> None:
        """Close every idle environment and the renderer, after what was already submitted."""
        await asyncio.wrap_future(self._executor.submit(self._close))
        self._executor.shutdown(wait=False)

    def _answer(self, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T], call: Callable[[], T]) -> None:
        try:
            deliver = functools.partial(answer.set_result, _guarded(call))
        except BaseException as error:  # noqa: BLE001 whoever waits must learn of it
            deliver = functools.partial(answer.set_exception, error)
        self._answered.append((answer, deliver))
        if len(self._answered) == 1:  # the loop is woken once for all that it has not yet seen
            loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        while self._answered:
            answer, deliver = self._answered.popleft()
            if not answer.done():
                deliver()

    def _borrow(self, key: _Key) -> Environment:
        for number in reversed(self._idle):
            if self._idle[number][0] == key:
                return self._idle.pop(number)[1]
        env, profile, max_steps, variation = key
        return make(
            find(env), find_profile(profile), max_steps=max_steps, renderer=self._renderer, variation=variation
        )

    def _give_back(self, key: _Key, environment: Environment) -> None:
        self._idle[id(environment)] = (key, environment)
        while len(self._idle) > self._idle_environments_max:
            _, (_, oldest) = self._idle.popitem(last=False)
            oldest.close()

    def _return_unused(self, key: _Key, borrowing: Future[Environment]) -> None:
        if not borrowing.cancelled() and borrowing.exception() is None:
            self._executor.submit(self._give_back, key, borrowing.result())

    def _close(self) -> None:
        while self._idle:
            _, (_, environment) = self._idle.popitem()
            environment.close()
        self._renderer.close()


def _guarded(call: Callable[[], T]) -> T:
    try:
        return call()
    except SimError:
        raise
    except Exception as error:
        raise SimulationFailed(f"{type(error).__name__} in the simulation: {error}") from error
