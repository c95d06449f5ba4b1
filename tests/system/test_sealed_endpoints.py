"""From the chain's bytes to the API's answers, a sealed endpoint is seen by the worker that calls it and nobody else.

Real NATS, PostgreSQL, physics and policies over HTTP. The address of a deployment is on loopback here, with its id in
the path.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from consumers.scoring.handler import Scoring
from consumers.simulation.worker import WorkerSettings, run_worker
from events.connection import Connection
from events.episodes import EpisodeCompleted, EpisodeForfeited
from events.ids import Uid
from events.sealed import EndpointKey, seal
from producers.cycles.errors import SealedEndpoints
from producers.discovery import commitments
from producers.discovery.commitments import Rejection, parse_commitment, sealed_commitment_text
from producers.discovery.discovery import Discovery
from producers.discovery.source import RegisteredMiner
from producers.progress import Progress
from tests.controls import facts
from tests.fixtures.http import Api, Written
from tests.fixtures.nats import NatsProcess
from tests.fixtures.policies import lazy
from tests.producers.driving import (
    CYCLE,
    Crash,
    Fuse,
    FusedQueue,
    HandClock,
    JetStreamStage,
    Miners,
    drive,
    events_of,
    settings,
)

GOOD, DOWN, FOREIGN = uuid4(), uuid4(), uuid4()
OTHER_KEY = EndpointKey(bytes(range(96, 128)))
USING = settings(
    episodes=1,
    endpoint_key=facts.ENDPOINT_KEY,
    terms=facts.TERMS.model_copy(update={"act_deadline_ms": 20_000, "reset_deadline_ms": 20_000, "steps_max": 2}),
)


@asynccontextmanager
async def deployments() -> AsyncIterator[str]:
    """The template of the URLs of all deployments. One of them is down, and its proxy names it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        name = request.match_info["deployment"]
        if name != str(GOOD):
            return web.Response(status=503, text=f"deployment {name} at {request.url} is not there")
        return web.json_response({"status": "ok"}) if request.path.endswith("/reset") else await lazy(b"")

    app = web.Application(client_max_size=1 << 24)
    app.add_routes([web.post("/{deployment}/{call}", answer)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/{{id}}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running_worker(server: NatsProcess) -> AsyncIterator[None]:
    ending = asyncio.Event()
    using = WorkerSettings(server.url, "worker-1", allow_private_endpoints=True, grace_s=1)
    task = asyncio.create_task(run_worker(using, ending))
    try:
        yield
    finally:
        ending.set()
        await task


def on_chain(uid: int, deployment: UUID, key: EndpointKey) -> RegisteredMiner:
    raw = sealed_commitment_text(f"user/policy-{uid}", "0123abcd", seal(deployment, key.public)).encode()
    parsed = parse_commitment(raw, 10 + uid)
    assert not isinstance(parsed, Rejection)
    return RegisteredMiner(facts.hotkey(uid), Uid(uid), parsed)


def miners() -> Miners:
    """The last has sealed its endpoint for somebody else."""
    keys = (facts.ENDPOINT_KEY, facts.ENDPOINT_KEY, OTHER_KEY)
    return Miners(
        *(on_chain(uid, it, key) for uid, (it, key) in enumerate(zip((GOOD, DOWN, FOREIGN), keys, strict=True)))
    )


ENDLESS = ("/stream", "/live")


async def everything_answered(api: Api) -> str:
    """The answers of every path that can be read, for the cycle and its miners."""
    given = {"cycle_id": "1", "hotkey": "hotkey-0", "other": "hotkey-1", "block": "999", "sequence": "4"}
    told = []
    for path, methods in (await api.get("/openapi.json")).json["paths"].items():
        # The events themselves are looked at apart, and a film is made of pictures.
        if "get" not in methods or path == "/v1/events" or "/film." in path:
            continue
        for uid in ("0", "1", "2"):
            episode = f"1.{uid}.metaworld.reach-v3.0"
            filled = path.format_map(given | {"uid": uid, "hotkey": f"hotkey-{uid}", "episode_id": episode})
            told.append(await (begun(api, filled) if path.endswith(ENDLESS) else whole(api, filled)))
    return "\n".join(told)


async def whole(api: Api, path: str) -> str:
    answer = await api.get(path)
    return f"{path} {answer.status} {answer.headers} {answer.body!r}"


async def begun(api: Api, path: str) -> str:
    """The first piece of a stream."""
    async with api.session.get(f"{api.base_url}{path}") as answer:
        return f"{path} {answer.status} {answer.headers} {await answer.content.readany()!r}"


async def test_the_endpoint_is_nowhere_but_in_its_task(
    nats_server: NatsProcess,
    nats: Connection,
    api: Api,
    read_side: Written,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    stage, told, clock = JetStreamStage(nats), list[Progress](), HandClock()
    async with deployments() as template:
        monkeypatch.setattr(commitments, "DEPLOYMENT_URL", template)
        await Discovery(miners(), stage.log, key=facts.ENDPOINT_KEY, clock=clock).poll()
        with pytest.raises(Crash):
            await drive(stage, using=USING, queue=FusedQueue(stage.queue, Fuse(0, after=True)), clock=clock)
        assert {task.endpoint for task in await stage.tasks()} == {template.format(id=it) for it in (GOOD, DOWN)}
        with pytest.raises(SealedEndpoints) as refused:
            await drive(stage, clock=clock)
        async with running_worker(nats_server):
            await asyncio.wait_for(drive(stage, using=USING, told=told, clock=clock), 60)
    await Scoring(read_side.log).catch_up()
    await read_side.project()
    events = await events_of(stage.log)
    output = capfd.readouterr()
    shown = {
        "events": b"".join(it.body for it in events).decode(),
        "answers": await everything_answered(api),
        "progress": f"{told} {refused.value!r}",
        "output": f"{output.out} {output.err} {caplog.text}",
    }

    outcomes = [it.event for it in events if isinstance(it.event, EpisodeCompleted | EpisodeForfeited)]
    ends = {it.uid: type(it) for it in outcomes}
    assert ends == {0: EpisodeCompleted, 1: EpisodeForfeited}
    for where, expected in (
        ("events", "cannot_open"),
        ("answers", "http_error"),
        ("progress", f"cycle={CYCLE}"),
        ("output", "kinitro.episode.completed"),
    ):
        assert expected in shown[where], f"{where}: nothing to look through"
    for where, text in shown.items():
        for deployment in (GOOD, DOWN, FOREIGN):
            for spelling in (str(deployment), deployment.hex, template.format(id="")):
                assert spelling not in text.lower(), f"{where}: {text[max(0, text.find(spelling) - 300) :][:500]}"
