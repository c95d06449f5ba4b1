"""The one thread of a process on which physics and drawing happen, and the environments that live there.

Neither MuJoCo's contexts nor MetaWorld's environments may be shared between threads, and stepping them in the
event loop would make every policy look slow. Two stepping threads are slower than one: use more processes
instead.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from events.variation import NO_VARIATION, VariationRanges
from sim.call_thread import CallThread
from sim.cameras import find_profile
from sim.errors import SimError, SimulationFailed
from sim.rendering.renderer import Renderer
from sim.suite import find, make

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from events.ids import EnvId
    from sim.environment import Environment
    from sim.rendering.opengl import Graphics

P = ParamSpec("P")
T = TypeVar("T")

_Key = tuple[str, str, int, VariationRanges]
"""Environment id, profile name, step limit, ranges of variation."""

logger = logging.getLogger(__name__)


class SimulationThread:
    """The environments and the renderer of a process: `async with SimulationThread() as stage`."""

    def __init__(self, *, idle_environments_max: int = 16, graphics: Graphics = "auto") -> None:
        """`idle_environments_max`: how many unused environments (about 18 MB each) are kept for reuse."""
        self._thread = CallThread("simulation")
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
        return await self._thread.run(_guarded, functools.partial(function, *args, **kwargs))

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
        borrowed: list[Environment] = []
        try:
            await self.run(self._borrow, key, borrowed)
        except asyncio.CancelledError:
            self._thread.submit(lambda: self._give_back(key, borrowed))
            raise
        environment = borrowed[0]
        try:
            yield environment
        except SimError:
            self._thread.submit(environment.close)
            raise
        except BaseException:
            self._thread.submit(lambda: self._give_back(key, borrowed))
            raise
        self._thread.submit(lambda: self._give_back(key, borrowed))

    async def close(self) -> None:
        """Close every idle environment and the renderer, after what was already submitted."""
        await self._thread.run(self._close)
        self._thread.end()

    def _borrow(self, key: _Key, borrowed: list[Environment]) -> None:
        for number in reversed(self._idle):
            if self._idle[number][0] == key:
                borrowed.append(self._idle.pop(number)[1])
                return
        env, profile, max_steps, variation = key
        borrowed.append(
            make(find(env), find_profile(profile), max_steps=max_steps, renderer=self._renderer, variation=variation)
        )

    def _give_back(self, key: _Key, borrowed: list[Environment]) -> None:
        for environment in borrowed:
            self._idle[id(environment)] = (key, environment)
        while len(self._idle) > self._idle_environments_max:
            _, (_, oldest) = self._idle.popitem(last=False)
            oldest.close()

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
