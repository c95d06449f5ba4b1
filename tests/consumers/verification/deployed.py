"""Miners: a repository of a policy with its weights, and a server of a policy over HTTP, honest or not."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from aiohttp import web

from consumers.verification.sandbox.runner import _decoded
from tests.consumers.verification.policies import Perceptron

PERCEPTRON = """
import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


class Policy:
    def __init__(self):
        self.seeded = SETTINGS["states_seeded"]
        with np.load(HERE / "weights.npz") as file:
            self.layers = [(file[f"weights{n}"], file[f"bias{n}"]) for n in range(3)]

    def reset(self, task_config):
        self.last = np.zeros(64)
        self.random = np.random.default_rng(task_config["task_id"] if SETTINGS["seeded"] else None)

    def act(self, obs):
        hidden = np.concatenate([*obs["proprio"].values(), np.asarray(obs["extra"].get("state", []), np.float32)])
        for picture in obs["rgb"].values():
            hidden = np.concatenate([hidden, picture.mean(axis=(1, 2), dtype=np.float32)[:8] / 255])
        hidden = np.resize(hidden, 39).astype(self.layers[0][0].dtype)
        for weights, bias in self.layers[:-1]:
            hidden = np.tanh(hidden @ weights + bias)
        hidden = self.last = hidden + (SETTINGS["memory"] * self.last).astype(hidden.dtype)
        weights, bias = self.layers[-1]
        action = 0.5 + np.tanh(hidden @ weights + bias) / 3
        action = action + (SETTINGS["noise"] * self.random.normal(size=7)).astype(action.dtype)
        return {"continuous": {"ee_twist": SETTINGS["twist"] * action[:6], "gripper": action[6:]}}


def make_policy():
    return Policy()
"""


def write_perceptron(directory: Path, it: Perceptron, *, seeded: bool = False, twist: float = 1.0) -> Path:
    """A repository of this perceptron: `memory` and `noise` are its own; `seeded` is stated, and true.

    `twist`: a factor for that channel alone.
    """
    directory.mkdir(mode=0o755)
    settings = {
        "memory": it.memory,
        "noise": it.noise,
        "seeded": seeded,
        "states_seeded": seeded,
        "twist": twist,
    }
    (directory / "policy.py").write_text(f"SETTINGS = {settings!r}\n{PERCEPTRON}")
    layers = zip(it.weights, it.biases, strict=True)
    arrays = {f"{name}{n}": each for n, (w, b) in enumerate(layers) for name, each in (("weights", w), ("bias", b))}
    np.savez(directory / "weights.npz", allow_pickle=False, **arrays)
    return directory


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def make_policy_of(directory: Path) -> Callable[[], Any]:
    """The code of a repository in this process: ours, written above."""
    found = importlib.util.spec_from_file_location("served_policy", directory / "policy.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    make: Callable[[], Any] = module.make_policy
    return make


Before = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""Answers in place of the policy, or does something first."""


class Served:
    """A policy server, as long as `serving` is open."""

    def __init__(self, make: Callable[[], Any], before: Before | None) -> None:
        self.url = ""
        self.resets: list[dict[str, Any]] = []
        self.acts: list[bytes] = []
        self._make = make
        self._before = before
        self._policies: WeakKeyDictionary[asyncio.BaseTransport, Any] = WeakKeyDictionary()

    async def reset(self, request: web.Request) -> web.StreamResponse:
        task_config = json.loads(await request.read())["task_config"]
        self.resets.append(task_config)
        assert request.transport is not None
        policy = self._policies[request.transport] = self._make()
        policy.reset(task_config)
        return web.json_response({"status": "ok"})

    async def act(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.acts.append(body)
        if self._before is not None and (answer := await self._before(request)) is not None:
            return answer
        assert request.transport is not None
        action = self._policies[request.transport].act(_decoded(json.loads(body)["obs"]))
        text = json.dumps({"action": action}, default=lambda array: array.tolist())
        return web.Response(text=text, content_type="application/json")


@asynccontextmanager
async def serving(policy: Path | Callable[[], Any], before: Before | None = None) -> AsyncIterator[Served]:
    """Serves the policy of a repository, or others that are made so, on a free loopback port."""
    served = Served(make_policy_of(policy) if isinstance(policy, Path) else policy, before)
    app = web.Application(client_max_size=1 << 24)
    app.add_routes([web.post("/reset", served.reset), web.post("/act", served.act)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield served
    finally:
        await runner.cleanup()
