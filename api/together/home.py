"""Where keys and the embedded servers live."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from events.cli import Misused
from sim.runtime.embedded import EmbeddedServer, run_or_join


class Home:
    """KINITRO_HOME, and the servers that live in it when none are named.

    Every command has one, and few need the servers: what runs them is imported where it is needed.
    """

    def __init__(self, home: Path) -> None:
        self.home = home

    def nats(self, url: str | None) -> AbstractAsyncContextManager[str]:
        if url:
            return _given(url)
        from events.server import EmbeddedNats

        return self._embedded("nats", EmbeddedNats)

    def database(self, url: str | None) -> AbstractAsyncContextManager[str]:
        if url:
            return _given(url)
        from projectors.server import EmbeddedPostgres

        return self._embedded("postgres", EmbeddedPostgres)

    def _embedded(self, name: str, server: Callable[[Path], EmbeddedServer]) -> AbstractAsyncContextManager[str]:
        try:
            self.home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Misused(
                f"KINITRO_HOME {self.home} cannot be used ({error.strerror}): choose another with --home"
            ) from error
        return run_or_join(name, server(self.home), self.home)


@asynccontextmanager
async def _given(url: str) -> AsyncIterator[str]:
    yield url
