"""The answers of a real API, served again with what a test has changed in them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import orjson
from aiohttp import web

from events.keys import SigningKey
from tests.eventually import eventually
from tests.fixtures.http import Api
from tests.fixtures.ports import free_port

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

    def signed_anew(self, key: SigningKey, before: bytes, after: bytes) -> bytes:
        """The signed weights with another statement, and a true signature."""
        answer = orjson.loads(self.bodies[SIGNED])
        statement = answer["statement"].encode().replace(before, after)
        assert statement.decode() != answer["statement"]
        return orjson.dumps({**answer, "statement": statement.decode(), "signature": key.sign(statement).signature})


async def record(api: Api, cycle: int = 1) -> Recorded:
    """What the API says about a cycle, once that is its newest."""

    async def is_newest() -> bool:
        return bool((await api.get(LATEST)).json["cycle_id"] == cycle)

    await eventually(is_newest)
    of_cycle = [path.replace("/1/", f"/{cycle}/") for path in (SIGNED, EVENTS)]
    answers = {path: await api.get(path) for path in (LATEST, IDENTITY, *of_cycle)}
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
