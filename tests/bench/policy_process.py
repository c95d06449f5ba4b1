"""A policy in a process of its own, so that its work is not counted as ours."""

from __future__ import annotations

import asyncio
import multiprocessing
from multiprocessing.connection import Connection

import uvloop

from sim.experts import PolicyKind
from sim.http.server import PolicyServer


class PolicyProcess:
    """`with PolicyProcess() as url`: a random policy, served at this URL."""

    def __enter__(self) -> str:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        url: str = self._ours.recv()
        return url

    def __exit__(self, *_: object) -> None:
        self._ours.send("stop")
        self._process.join()


def _serve(parent: Connection) -> None:
    async def serve() -> None:
        async with PolicyServer(PolicyKind.RANDOM) as server:
            parent.send(server.url)
            await asyncio.to_thread(parent.recv)

    uvloop.run(serve())
