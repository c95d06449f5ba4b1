"""Serves the policy over HTTP, as an evaluation speaks to it: `GET /health`, `POST /reset`, `POST /act`.

    python server.py --port 9000

An episode has a connection of its own, so what belongs to an episode is kept with the connection. Keep connections
apart, then, where you put a proxy in front of this, or keep nothing between two calls.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import ormsgpack
from aiohttp import web
from numpy.typing import NDArray
from policy import Policy, make_policy

MSGPACK = "application/msgpack"
ENCODINGS = ["msgpack", "json"]
"""Asks for images as raw bytes in MessagePack, which saves the base64 of JSON. Both are understood."""
REQUEST_BYTES_MAX = 4 << 20


class Server:
    """One model, one thread for it; the event loop stays free for whoever else asks."""

    def __init__(self) -> None:
        self._model = ThreadPoolExecutor(max_workers=1)
        self._episodes: WeakKeyDictionary[asyncio.BaseTransport, Policy] = WeakKeyDictionary()
        self._started_s = time.monotonic()

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=REQUEST_BYTES_MAX)
        app.add_routes([web.get("/health", self.health), web.post("/reset", self.reset), web.post("/act", self.act)])
        return app

    async def health(self, _request: web.Request) -> web.Response:
        """For whoever watches over this server; evaluations do without."""
        uptime_s = round(time.monotonic() - self._started_s, 3)
        return web.json_response({"status": "healthy", "model_loaded": True, "uptime_seconds": uptime_s})

    async def reset(self, request: web.Request) -> web.Response:
        """`{"task_config": {...}}`: an episode begins."""
        message = _decoded(request, await request.read())
        await self._begin(request, message.get("task_config") or {})
        return web.json_response({"status": "ok", "observation_encodings": ENCODINGS})

    async def act(self, request: web.Request) -> web.Response:
        """`{"obs": {...}}`: the next action."""
        message = _decoded(request, await request.read())
        try:
            observation = _observation(message["obs"])
        except (KeyError, TypeError, ValueError) as error:
            raise web.HTTPUnprocessableEntity(text=f"not an observation: {error!r}") from error
        policy = self._episodes.get(_connection(request)) or await self._begin(request, {})
        action = await self._in_turn(policy.act, observation)
        return web.Response(text=json.dumps({"action": action}, default=_plain), content_type="application/json")

    async def _begin(self, request: web.Request, task_config: Mapping[str, Any]) -> Policy:
        policy: Policy = await self._in_turn(make_policy)
        await self._in_turn(policy.reset, task_config)
        self._episodes[_connection(request)] = policy
        return policy

    async def _in_turn(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._model, function, *arguments)


def _connection(request: web.Request) -> asyncio.BaseTransport:
    if request.transport is None:
        raise web.HTTPBadRequest(text="the connection is closed")
    return request.transport


def _decoded(request: web.Request, body: bytes) -> Any:
    try:
        message = ormsgpack.unpackb(body) if request.content_type == MSGPACK else json.loads(body)
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"neither JSON nor MessagePack: {error}") from error
    if not isinstance(message, dict):
        raise web.HTTPUnprocessableEntity(text="expected an object")
    return message


def _observation(message: Mapping[str, Any]) -> dict[str, Any]:
    """With numpy arrays, as the committed code gets it where it is checked."""
    images = {camera: _image(image) for camera, image in message["rgb"].items()}
    proprio = {name: np.array(values, np.float32) for name, values in message["proprio"].items()}
    return {**message, "rgb": images, "proprio": proprio}


def _image(message: Mapping[str, Any]) -> NDArray[np.uint8]:
    data = message["data"]
    raw = base64.b64decode(data) if isinstance(data, str) else data
    return np.frombuffer(raw, np.dtype(message["dtype"])).reshape(message["shape"])


def _plain(array: Any) -> Any:
    return array.tolist()


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Serve the policy over HTTP.")
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104  it is there to be reached from outside
    parser.add_argument("--port", type=int, default=9000)
    arguments = parser.parse_args()
    make_policy()  # loads the model before the first request
    web.run_app(Server().app(), host=arguments.host, port=arguments.port, access_log=None)


if __name__ == "__main__":
    main()
