"""A policy server for local use: our own policies behind the wire format that miners' servers speak.

`GET /health`, `POST /reset`, `POST /act`. Serves any number of episodes at once: see `sim.experts`. Asks for
MessagePack, understands both encodings, and answers in that of the request.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from sim.encodings import ADVERTISEMENT, Encoding, WireError
from sim.experts import NOISE_M, PolicyKind, decide
from sim.rl_interface import encode_action

if TYPE_CHECKING:
    from types import TracebackType

REQUEST_BYTES_MAX = 4 << 20
SHUTDOWN_S = 1.0
ENCODINGS = {ADVERTISEMENT: [Encoding.MSGPACK, Encoding.JSON]}


class PolicyServer:
    """`async with PolicyServer(kind) as server`: serves at `server.url` until it is left."""

    def __init__(
        self,
        kind: PolicyKind,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        noise_m: float = NOISE_M,
    ) -> None:
        """`port` 0 takes a free one. `seed` and `noise_m` as in `sim.experts.decide`."""
        self._kind = kind
        self._host = host
        self._port = port
        self._seed = seed
        self._noise_m = noise_m
        self._started_s = time.monotonic()
        app = web.Application(client_max_size=REQUEST_BYTES_MAX)
        app.router.add_get("/health", self._health)
        app.router.add_post("/reset", self._reset)
        app.router.add_post("/act", self._act)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)

    async def __aenter__(self) -> PolicyServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            OSError: the port is in use, or the host is not an address of this machine.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def _health(self, _request: web.Request) -> web.Response:
        uptime_s = time.monotonic() - self._started_s
        return _json({"status": "healthy", "model_loaded": True, "uptime_seconds": round(uptime_s, 3), **ENCODINGS})

    async def _reset(self, request: web.Request) -> web.Response:
        try:
            body = orjson.loads(await request.read())
        except orjson.JSONDecodeError as error:
            return _json({"error": f"the body is not JSON: {error}"}, status=400)
        if not isinstance(body, dict) or not isinstance(body.get("task_config"), dict):
            return _json({"error": "expected an object with task_config"}, status=422)
        return _json({"status": "ok", "episode_id": uuid.uuid4().hex, **ENCODINGS})

    async def _act(self, request: web.Request) -> web.Response:
        body = await request.read()
        encoding = Encoding.of_content_type(request.content_type)
        try:
            action = decide(self._kind, body, encoding, seed=self._seed, noise_m=self._noise_m)
        except WireError as error:
            return _json({"error": str(error)}, status=422)
        return web.Response(body=encode_action(action, encoding), content_type=encoding.content_type)


def _json(value: dict[str, object], *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
