"""The answers of a real API, served again with what a test has changed in them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from aiohttp import web

from tests.fixtures.http import Api, free_port

LATEST, IDENTITY = "/v1/weights/latest", "/v1/identity"
SIGNED, EVENTS = "/v1/cycles/1/weights/signed", "/v1/cycles/1/events"


@dataclass(frozen=True)
class Recorded:
    """Bodies by path, and the ETag of the newest weights."""

    bodies: Mapping[str, bytes]
    etag: str

    def altered(self, path: str, body: bytes) -> Recorded:
        return replace(self, bodies={**self.bodies, path: body})

    def with_one_byte_changed(self, path: str, chance: random.Random) -> tuple[Recorded, str]:
        """And which: at what place, from what to what."""
        body = bytearray(self.bodies[path])
        place = chance.randrange(len(body))
        before, body[place] = body[place], chance.choice([it for it in range(256) if it != body[place]])
        told = f"{path}, byte {place}: {before:#04x} -> {body[place]:#04x}"
        return self.altered(path, bytes(body)), told


async def record(api: Api) -> Recorded:
    """What the API says about its first cycle."""
    answers = {path: await api.get(path) for path in (LATEST, IDENTITY, SIGNED, EVENTS)}
    assert {answer.status for answer in answers.values()} == {200}
    return Recorded({path: answer.body for path, answer in answers.items()}, answers[LATEST].headers["ETag"])


class Served:
    """What a server of recorded answers says now; `answers` may be exchanged while it runs."""

    def __init__(self, answers: Recorded) -> None:
        self.answers = answers
        self.url = ""

    async def _answer(self, request: web.Request) -> web.Response:
        body = self.answers.bodies.get(request.path)
        if body is None:
            return web.json_response({"detail": "there is no such thing"}, status=404)
        headers = {"ETag": self.answers.etag} if request.path == LATEST else {}
        return web.Response(body=body, headers=headers)


@asynccontextmanager
async def serving(answers: Recorded) -> AsyncIterator[Served]:
    served = Served(answers)
    app = web.Application()
    app.router.add_get("/{path:.*}", served._answer)
    runner = web.AppRunner(app, shutdown_timeout=0.0)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    served.url = f"http://127.0.0.1:{port}"
    try:
        yield served
    finally:
        await runner.cleanup()
