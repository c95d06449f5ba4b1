"""Verifiers on a real queue, with a hub, a sandbox, recordings and policies: what they write and leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from consumers.simulation.worker import WorkerStuck
from consumers.verification import checking
from consumers.verification import verifier as process
from consumers.verification.fetcher import Fetcher
from consumers.verification.repository import Repositories
from consumers.verification.sandbox.namespaces import probe
from consumers.verification.sandbox.protocol import NoSandbox, Sandbox
from consumers.verification.verifier import CHECKS_AT_ONCE, VerifierSettings, run_verifier
from events import frames, subjects
from events.codec import decode
from events.connection import connect
from events.cycles import EpisodeTerms
from events.event import Event
from events.ids import EpisodeKey, Uid
from events.stream_settings import TASKS, TRACES_KEPT, VERIFIERS
from events.streams import ensure_streams
from events.tasks import CheckTask, ProbeTask
from events.traces import TraceStore
from events.verification import (
    FailureReason,
    InconclusiveReason,
    Undecided,
    VerificationFailed,
    VerificationInconclusive,
    VerificationPassed,
)
from sim.record import Record, encode_record
from sim.stage import SimulationThread
from sim.trace import decode_trace
from sim.versions import machine, versions
from tests.consumers.conftest import LEASE_S, LONG_LEASE_S, ROOT, Bus
from tests.consumers.verification.conftest import Docker
from tests.consumers.verification.deployed import Served, files_of, serving, write_perceptron
from tests.consumers.verification.hub import Hub, Revision, answering, commit_id, refused
from tests.consumers.verification.leftovers import descendants
from tests.consumers.verification.policies import perceptron
from tests.consumers.verification.recorded import CAMERAS, TERMS, Recorded, recorded
from tests.controls import facts
from tests.eventually import eventually
from tests.fixtures.nats import NatsProcess

REPO, COMMIT = "miner/policy", commit_id("committed")
SAMPLES, PROBES = 2, 4
REPO_BYTES_MAX = 1_000_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def episodes() -> AsyncIterator[list[Recorded]]:
    async with SimulationThread() as stage:
        yield [await recorded(number, stage) for number in range(PROBES)]


@pytest_asyncio.fixture
async def hub() -> AsyncIterator[Hub]:
    async with Hub() as hub:
        yield hub


@pytest.fixture
async def bus(nats_alone: NatsProcess) -> AsyncIterator[Bus]:
    async with await connect(nats_alone.url, "test") as connection:
        await ensure_streams(connection, ack_wait_s=LEASE_S, traces=TRACES_KEPT)
        yield Bus(nats_alone, connection)


@dataclass
class Place:
    """Where one miner is checked: the log, the hub that has its repository, and a cache."""

    bus: Bus
    hub: Hub
    directory: Path
    engine: str = "unix:///nowhere/docker.sock"
    """None: the kernel's sandbox is used, which starts sooner."""

    @property
    def committed(self) -> Path:
        return self.directory / "committed"

    def settings(self, name: str = "verifier-1", lease_s: float = LEASE_S) -> VerifierSettings:
        fetcher = Fetcher(endpoint=self.hub.url, repo_bytes_max=REPO_BYTES_MAX, limit_s=20.0, pause_s=0.01)
        return VerifierSettings(
            nats_url=self.bus.url,
            name=name,
            repositories=Repositories(self.directory / "cache", fetcher, cache_bytes_max=REPO_BYTES_MAX),
            engine=self.engine,
            allow_private_endpoints=True,
            lease_s=lease_s,
            endpoint_retry_s=0.0,
        )

    async def outcome(self) -> Event | None:
        stored = await self.bus.log.last(subjects.verification(facts.check_task().cycle, facts.check_task().uid))
        return decode(stored).event if stored else None

    async def checks_held(self) -> int:
        info = await self.bus.connection.api(f"CONSUMER.INFO.{TASKS}.{VERIFIERS}")
        return int(info["num_ack_pending"])


@pytest.fixture
async def sandbox() -> Sandbox:
    """The one that a verifier finds where there is no Docker engine."""
    found = await probe()
    if isinstance(found, NoSandbox):
        pytest.skip(found.reason)
    return found


@pytest.fixture
async def place(bus: Bus, hub: Hub, tmp_path: Path, sandbox: Sandbox) -> Place:
    """With an honest miner's repository in it."""
    place = Place(bus, hub, tmp_path)
    write_perceptron(place.committed, perceptron(1))
    files = {**files_of(place.committed), "README.md": b"# a policy\n"}
    hub.add(REPO, Revision(COMMIT, files, large=frozenset({"weights.npz"})))
    return place


def task_of(
    episodes: Sequence[Recorded], url: str, *, repo: str = REPO, within_s: float = 600.0, terms: EpisodeTerms = TERMS
) -> CheckTask:
    probes = tuple(
        ProbeTask(
            uid=each.uid,
            env=each.spec.env,
            index=each.spec.index,
            seed=each.spec.seed,
            attempt=1,
            action_digest=each.result.physics.action_digest,
            step=3 + number,
            versions=versions(),
            machine=machine(),
        )
        for number, each in enumerate(episodes)
    )
    return facts.check_task().model_copy(
        update={
            "endpoint": url,
            "repo": repo,
            "revision": COMMIT[:12],
            "probes": probes,
            "samples": SAMPLES,
            "terms": terms,
            "within_s": within_s,
        }
    )


async def keep(bus: Bus, episodes: Sequence[Recorded]) -> None:
    for each in episodes:
        key = EpisodeKey(facts.check_task().cycle, each.uid, each.spec.env, each.spec.index)
        physics = each.result.physics
        record = Record(trace=each.result.trace, track=each.result.track, variation=physics.variation)
        await TraceStore(bus.connection).keep(key, 1, physics.action_digest, encode_record(record))


@asynccontextmanager
async def verifying(settings: VerifierSettings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(run_verifier(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def checked(place: Place, it: CheckTask) -> Event:
    """The one event that comes of the task."""
    async with verifying(place.settings()):
        await place.bus.queue.put([it])
        await eventually(place.bus.is_empty)
    [event] = await place.bus.facts()
    return event


@pytest.fixture
async def honest(place: Place, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(write_perceptron(tmp_path / "served", perceptron(1))) as served:
        yield served


async def test_an_honest_miner_passes(place: Place, honest: Served, episodes: list[Recorded]) -> None:
    await keep(place.bus, episodes)
    it = task_of(episodes, honest.url)
    event = await checked(place, it)
    assert isinstance(event, VerificationPassed), event
    assert (event.cycle, event.uid, event.hotkey, event.repo) == (it.cycle, it.uid, it.hotkey, it.repo)
    assert (event.verifier, event.sandbox, event.committed.commit) == ("verifier-1", "namespaces", COMMIT)
    assert [each.name for each in event.committed.files] == ["weights.npz"]
    first = it.probes[:SAMPLES]
    assert [(each.uid, each.env, each.index, each.step) for each in event.compared.samples] == [
        (each.uid, each.env, each.index, each.step) for each in first
    ]
    [recorded_event] = await place.bus.events()
    assert (recorded_event.envelope.causation, recorded_event.envelope.correlation) == (it.cause, it.correlation)


async def test_a_tampered_one_fails(place: Place, episodes: list[Recorded], tmp_path: Path) -> None:
    await keep(place.bus, episodes)
    other = write_perceptron(tmp_path / "served", perceptron(1).with_altered_layer(1, 1.01))
    async with serving(other) as served:
        event = await checked(place, task_of(episodes, served.url))
    assert isinstance(event, VerificationFailed), event
    assert event.reason is FailureReason.ACTIONS_DIFFER
    assert event.compared is not None
    assert event.committed is not None


@pytest.mark.camera
async def test_cameras_are_drawn_for_both_sides(place: Place, honest: Served) -> None:
    async with SimulationThread() as stage:
        seen = [await recorded(number, stage, CAMERAS) for number in range(2)]
    await keep(place.bus, seen)
    event = await checked(place, task_of(seen, honest.url, terms=CAMERAS))
    assert isinstance(event, VerificationPassed), event
    assert all(b'"corner2"' in body for body in honest.acts)


async def test_what_was_done_in_the_evaluation_counts(place: Place, honest: Served, episodes: list[Recorded]) -> None:
    own = [replace(each, uid=facts.check_task().uid) for each in episodes]
    await keep(place.bus, own)
    event = await checked(place, task_of(own, honest.url))
    assert isinstance(event, VerificationFailed), event
    assert event.reason is FailureReason.EVALUATION_DIFFERS
    assert event.compared is not None
    for sample, recording in zip(event.compared.samples, own, strict=False):
        assert sample.evaluated is not None
        assert sample.evaluated.given == tuple(decode_trace(recording.result.trace)[sample.step].tolist())


@pytest.mark.camera
@pytest.mark.parametrize(
    ("there", "pictures", "expected"),
    [
        (machine(), None, None),
        ("x86_64, another", None, Undecided.OTHER_MACHINE),
        (machine(), "0123456789abcdef", Undecided.OTHER_OBSERVATIONS),
        (machine(), "", Undecided.OTHER_OBSERVATIONS),
    ],
)
async def test_where_pictures_may_be_others_nothing_is_held_against_the_miner(
    there: str, pictures: str | None, expected: Undecided | None, place: Place, honest: Served
) -> None:
    async with SimulationThread() as stage:
        seen = replace(await recorded(0, stage, CAMERAS), uid=facts.check_task().uid)
    if pictures is not None:
        track = replace(seen.result.track, pictures=pictures)
        seen = replace(seen, result=replace(seen.result, track=track))
    await keep(place.bus, [seen])
    it = task_of([seen], honest.url, terms=CAMERAS)
    it = it.model_copy(update={"probes": (it.probes[0].model_copy(update={"machine": there}),)})
    event = await checked(place, it)
    assert isinstance(event, VerificationPassed if expected else VerificationFailed), event
    assert event.compared is not None
    assert event.compared.samples[0].evaluated is not None
    assert event.compared.samples[0].evaluated.undecided is expected


async def test_a_later_probe_takes_the_place_of_a_recording_that_is_gone(
    place: Place, honest: Served, episodes: list[Recorded]
) -> None:
    await keep(place.bus, episodes[1:])
    it = task_of(episodes, honest.url)
    event = await checked(place, it)
    assert isinstance(event, VerificationPassed), event
    assert [each.step for each in event.compared.samples] == [probe.step for probe in it.probes[1 : 1 + SAMPLES]]


async def test_without_any_recording_nothing_can_be_said(
    place: Place, honest: Served, episodes: list[Recorded]
) -> None:
    event = await checked(place, task_of(episodes, honest.url))
    assert isinstance(event, VerificationInconclusive)
    assert event.reason is InconclusiveReason.NO_RECORDINGS
    assert event.committed is not None
    assert honest.resets == []


async def test_a_recording_of_another_episode_is_ours(place: Place, honest: Served, episodes: list[Recorded]) -> None:
    swapped = [replace(one, result=replace(one.result, trace=episodes[1].result.trace)) for one in episodes[:1]]
    await keep(place.bus, swapped)
    event = await checked(place, task_of(episodes[:1], honest.url))
    assert isinstance(event, VerificationInconclusive)
    assert event.reason is InconclusiveReason.SIMULATOR_ERROR
    assert "expected actions of digest" in event.detail


async def test_a_repository_that_is_not_there_fails(place: Place, honest: Served, episodes: list[Recorded]) -> None:
    event = await checked(place, task_of(episodes, honest.url, repo="miner/other"))
    assert isinstance(event, VerificationFailed)
    assert event.reason is FailureReason.REPOSITORY_REFUSED
    assert event.committed is None
    assert honest.resets == []


async def test_a_gated_repository_fails(place: Place, honest: Served, episodes: list[Recorded]) -> None:
    async def gated(_: web.Request) -> web.StreamResponse:
        return refused(403, "GatedRepo")

    place.hub.fault("/api/models/", gated)
    event = await checked(place, task_of(episodes, honest.url))
    assert isinstance(event, VerificationFailed), event
    assert event.reason is FailureReason.REPOSITORY_REFUSED
    assert "no_access" in event.detail


async def test_an_oversized_repository_fails(place: Place, honest: Served, episodes: list[Recorded]) -> None:
    place.hub.add(REPO, Revision(COMMIT, {"policy.py": b"", "big.bin": bytes(REPO_BYTES_MAX + 1)}))
    place.hub.revisions[REPO] = place.hub.revisions[REPO][:1]
    event = await checked(place, task_of(episodes, honest.url))
    assert isinstance(event, VerificationFailed), event
    assert event.reason is FailureReason.REPOSITORY_REFUSED
    assert "too_large" in event.detail


async def test_a_hub_in_trouble_is_not_the_miners(place: Place, honest: Served, episodes: list[Recorded]) -> None:
    place.hub.fault("/api/models/", answering(503))
    event = await checked(place, task_of(episodes, honest.url))
    assert isinstance(event, VerificationInconclusive)
    assert event.reason is InconclusiveReason.HUB_TROUBLE


async def test_without_a_sandbox_the_code_is_run_nowhere(
    place: Place, honest: Served, episodes: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(*_: object, **__: object) -> NoSandbox:
        return NoSandbox("this kernel lets nobody make namespaces")

    monkeypatch.setattr(process, "choose_sandbox", none)
    await keep(place.bus, episodes)
    event = await checked(place, task_of(episodes, honest.url))
    assert isinstance(event, VerificationInconclusive)
    assert (event.reason, event.detail) == (
        InconclusiveReason.NO_SANDBOX,
        "this kernel lets nobody make namespaces",
    )
    assert place.hub.requests == []
    assert honest.resets == []


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        ("crashes", FailureReason.CODE_FAILED),
        ("exits", FailureReason.CODE_FAILED),
        ("announces_giant", FailureReason.CODE_FAILED),
        ("leaves_daemons", FailureReason.ACTIONS_DIFFER),
    ],
)
async def test_hostile_code_fails_and_leaves_no_process(
    attack: str, reason: FailureReason, place: Place, honest: Served, episodes: list[Recorded]
) -> None:
    await keep(place.bus, episodes)
    hostile = (Path(__file__).parent / "attacks" / f"{attack}.py").read_bytes()
    attempts = (Path(__file__).parent / "attacks" / "attempts.py").read_bytes()
    place.hub.revisions[REPO] = [Revision(COMMIT, {"policy.py": hostile, "attempts.py": attempts})]
    before = descendants(os.getpid())
    event = await checked(place, task_of(episodes, honest.url))
    assert isinstance(event, VerificationFailed), event
    assert event.reason is reason
    assert event.sandbox == "namespaces"
    assert descendants(os.getpid()) <= before


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: web.Response(status=302, headers={"Location": "/other"}), "redirect_refused"),
        (lambda: web.json_response({"action": {"continuous": {"ee_twist": [1, 2]}}}), "wrong_shape"),
        (lambda: web.Response(body=b"x" * (1 << 20)), "body_too_large"),
    ],
)
async def test_an_endpoint_that_gives_no_valid_action_fails(
    answer: object, said: str, place: Place, episodes: list[Recorded]
) -> None:
    async def instead(_: web.Request) -> web.StreamResponse:
        assert callable(answer)
        given = answer()
        assert isinstance(given, web.StreamResponse)
        return given

    await keep(place.bus, episodes)
    async with serving(place.committed, instead) as served:
        event = await checked(place, task_of(episodes, served.url))
    assert isinstance(event, VerificationFailed)
    assert event.reason is FailureReason.ENDPOINT_FAILED
    assert said in event.detail
    assert served.url not in event.detail


async def test_a_check_that_takes_too_long_says_nothing_about_the_miner(
    place: Place, episodes: list[Recorded]
) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    await keep(place.bus, episodes)
    async with serving(place.committed, never) as served:
        event = await checked(place, task_of(episodes, served.url, within_s=3.0))
    assert isinstance(event, VerificationInconclusive)
    assert (event.reason, event.detail) == (InconclusiveReason.TOO_LATE, "the check did not end within 3 s")


async def test_checks_that_find_the_simulation_hanging_leave_their_outcomes(
    place: Place, honest: Served, episodes: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another verifier would begin them anew, and hang as well."""
    await keep(place.bus, episodes)
    monkeypatch.setattr(checking, "SETUP_ALLOWANCE_S", 0.1)
    monkeypatch.setattr(checking, "STEP_ALLOWANCE_S", 0.0)
    monkeypatch.setattr(process, "Checker", partial(checking.Checker, stuck_s=0.1))
    hanging = threading.Event()
    async with SimulationThread() as stage:
        monkeypatch.setattr(process, "simulation_thread", lambda: contextlib.nullcontext(stage))
        hang = asyncio.create_task(stage.run(hanging.wait, 60))
        try:
            it = task_of(episodes, honest.url)
            await place.bus.queue.put([it, it.model_copy(update={"uid": Uid(it.uid + 1)})])
            with pytest.raises(WorkerStuck):
                await run_verifier(place.settings(), asyncio.Event())
        finally:
            hanging.set()
            await hang
    outcomes = await place.bus.facts()
    assert {outcome.reason for outcome in outcomes if isinstance(outcome, VerificationInconclusive)} == {
        InconclusiveReason.SIMULATOR_ERROR
    }
    assert len(outcomes) == CHECKS_AT_ONCE


async def test_a_miner_that_has_an_outcome_is_not_checked_again(
    place: Place, honest: Served, episodes: list[Recorded]
) -> None:
    await keep(place.bus, episodes)
    await checked(place, task_of(episodes, honest.url))
    asked = len(honest.resets)
    async with verifying(place.settings("verifier-2")):
        await place.bus.queue.put([task_of(episodes, honest.url)])
        await eventually(place.bus.is_empty)
    assert len(honest.resets) == asked
    assert len(await place.bus.facts()) == 1


async def test_poison_leaves_the_queue(place: Place, honest: Served, episodes: list[Recorded]) -> None:
    await keep(place.bus, episodes)
    async with verifying(place.settings()):
        await place.bus.connection.ask(lambda reply: frames.request("task.check.poison", reply, b"not a task"))
        await place.bus.queue.put([task_of(episodes, honest.url)])
        await eventually(place.bus.is_empty)
    assert len(await place.bus.facts()) == 1


class Gate:
    """Holds an endpoint's answers back until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, _: web.Request) -> None:
        self.reached.set()
        await self.opened.wait()


async def test_a_miner_that_draws_its_check_out_keeps_nobody_waiting(
    place: Place, honest: Served, episodes: list[Recorded]
) -> None:
    await keep(place.bus, episodes)
    gate = Gate()
    async with serving(place.committed, gate) as slow, verifying(place.settings()):
        await place.bus.queue.put([task_of(episodes, slow.url)])
        await asyncio.wait_for(gate.reached.wait(), 60)
        other = task_of(episodes, honest.url).model_copy(update={"uid": 1, "hotkey": facts.hotkey(1)})
        await place.bus.queue.put([other])

        async def is_checked() -> bool:
            return await place.bus.log.last(subjects.verification(other.cycle, other.uid)) is not None

        await eventually(is_checked)
        assert await place.outcome() is None
        gate.opened.set()
        await eventually(place.bus.is_empty)
    assert len(await place.bus.facts()) == 2


@asynccontextmanager
async def kinitro(place: Place, *command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Started by its command line, killed at the end if it still runs."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "kinitro.py"), *command, "--nats-url", place.bus.url),
        *("--allow-private-endpoints", "--hf-endpoint", place.hub.url),
        *("--verification-cache-dir", str(place.directory / "cache"), "--docker-host", place.engine),
        cwd=ROOT,
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


def verifier_process(
    place: Place, name: str, lease_s: float
) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    return kinitro(place, "verifier", "--name", name, "--lease-s", str(lease_s))


async def test_an_executor_keeps_a_verifier_where_one_is_wanted(
    place: Place, honest: Served, episodes: list[Recorded]
) -> None:
    await keep(place.bus, episodes)
    async with kinitro(place, "executor", "--workers", "1", "--verification") as executor:
        await place.bus.queue.put([task_of(episodes, honest.url)])
        await eventually(place.bus.is_empty)
        executor.send_signal(signal.SIGTERM)
        assert await executor.wait() == 0
    [event] = await place.bus.facts()
    assert isinstance(event, VerificationPassed), event
    assert (event.verifier.endswith("-verifier"), event.sandbox) == (True, "namespaces")


async def test_where_there_is_an_engine_its_containers_are_used(
    place: Place, honest: Served, episodes: list[Recorded], docker: Docker
) -> None:
    place.engine = docker.engine.url
    await keep(place.bus, episodes)
    async with kinitro(place, "executor", "--workers", "1", "--verification") as executor:
        await place.bus.queue.put([task_of(episodes, honest.url)])
        await eventually(place.bus.is_empty)
        executor.send_signal(signal.SIGTERM)
        assert await executor.wait() == 0
    [event] = await place.bus.facts()
    assert isinstance(event, VerificationPassed), event
    assert event.sandbox == "docker"
    assert await docker.containers() == frozenset()


async def test_kill_9_of_a_verifier_leaves_nothing_and_another_one_finishes(
    place: Place, episodes: list[Recorded], tmp_path: Path
) -> None:
    gate = Gate()
    await keep(place.bus, episodes)
    async with serving(place.committed, gate) as served:
        async with verifier_process(place, "verifier-1", LEASE_S) as doomed:
            await place.bus.queue.put([task_of(episodes, served.url)])
            await gate.reached.wait()
            below = descendants(doomed.pid)
            doomed.kill()
            await doomed.wait()
            await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below))
        gate.opened.set()
        async with verifying(place.settings("verifier-2")):
            await eventually(place.bus.is_empty)
    [event] = await place.bus.facts()
    assert isinstance(event, VerificationPassed), event
    assert event.verifier == "verifier-2"


async def test_kill_9_while_the_code_runs_leaves_no_sandbox(place: Place, episodes: list[Recorded]) -> None:
    await keep(place.bus, episodes)
    sleeping = b"import time\ntime.sleep(600)\n"
    place.hub.revisions[REPO] = [Revision(COMMIT, {"policy.py": sleeping})]
    async with verifier_process(place, "verifier-1", LEASE_S) as doomed:
        await place.bus.queue.put([task_of(episodes, "http://127.0.0.1:1")])
        await eventually(lambda: len(descendants(doomed.pid)) >= 3)  # launcher, init and the policy
        below = descendants(doomed.pid)
        doomed.kill()
        await doomed.wait()
        await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below))
    assert await place.bus.facts() == []


async def test_sigterm_hands_all_checks_back_at_once(place: Place, episodes: list[Recorded]) -> None:
    gate = Gate()
    await keep(place.bus, episodes)
    async with serving(place.committed, gate) as served:
        async with verifier_process(place, "verifier-1", LONG_LEASE_S) as asked_to_stop:
            one = task_of(episodes, served.url)
            both = [one, one.model_copy(update={"uid": 1, "hotkey": facts.hotkey(1)})]
            await place.bus.queue.put(both)
            await gate.reached.wait()

            async def are_held() -> bool:
                return await place.checks_held() == len(both)

            await eventually(are_held)
            asked_to_stop.send_signal(signal.SIGTERM)
            assert await asked_to_stop.wait() == 0
        assert await place.bus.facts() == []
        gate.opened.set()
        verifiers = await place.bus.connection.client.jetstream().pull_subscribe_bind(durable=VERIFIERS, stream=TASKS)
        messages = [(await verifiers.fetch(1, timeout=60))[0] for _ in both]
    returned = [CheckTask.model_validate_json(message.data) for message in messages]
    assert sorted(returned, key=lambda it: it.uid) == both
