"""Workers in containers of a real engine: what they do, and what is left of them when anything dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from consumers.simulation.container_options import ContainerOptions, Runtime
from consumers.simulation.containers import ContainerSettings, in_containers
from events.cli import Misused, environment
from events.codec import decode
from events.connection import Connection, connect
from events.episodes import EpisodeCompleted
from events.for_people import ForPeople
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.streams import ensure_streams
from sim.runtime.children import Child
from sim.runtime.container_configuration import Place, Probe, Wanted
from sim.runtime.container_limits import ContainerLimits
from sim.runtime.containers import Containers, containers_of
from sim.runtime.docker import EngineUnusable, answering, engine_at
from sim.runtime.supervisor import ChildRefused, Supervisor
from tests.controls import facts
from tests.controls.tasks import task
from tests.eventually import eventually
from tests.fixtures.docker_engine import NoEngine
from tests.fixtures.docker_images import debian_image
from tests.fixtures.nats import NatsProcess
from tests.fixtures.policies import expert, served
from tests.fixtures.ports import free_port
from tests.fixtures.subnet import run_undisturbed
from tests.system.backends import kinitro, new_home
from tests.system.containers import IMAGE, PYTHON, Workers, executor, shown, workers_engine
from tests.system.cycles import Result, Subnet

TERMS = facts.TERMS.model_copy(update={"act_deadline_ms": 20_000, "steps_max": 50})
MEMORY = 256 * 2**20


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    try:
        with workers_engine() as made:
            yield made
    except NoEngine as error:
        pytest.skip(str(error))


@pytest.fixture
async def connection(nats_alone: NatsProcess) -> AsyncIterator[Connection]:
    async with await connect(nats_alone.url, "test") as made:
        await ensure_streams(made)
        yield made


@pytest.fixture
def url(nats_alone: NatsProcess) -> str:
    return nats_alone.url


# Workers


async def test_workers_in_containers_do_episodes_and_leave_nothing(
    workers: Workers, connection: Connection, url: str, tmp_path: Path
) -> None:
    port = free_port()
    async with (
        served(expert) as policy,
        executor(workers, tmp_path, url, "--workers", "2", "--metrics-port", str(port)) as running,
    ):
        await JetStreamQueue(connection).put(
            [task(index=index, seed=index, endpoint=policy.url, terms=TERMS) for index in range(4)]
        )

        async def done() -> bool:
            return await JetStreamQueue(connection).pending() == 0

        await eventually(done, 180)
        await eventually(lambda: running.output.count('"worker started"') == 2)
        await eventually(lambda: _both_up(port))
        inside = [it["State"] for it in (await workers.of(tmp_path)).values()]
        assert [state["Running"] for state in inside] == [True, True]
        assert await running.stop() == 0
    outcomes = [decode(stored).event async for batch in JetStreamLog(connection).read() for stored in batch]
    completed = [it for it in outcomes if isinstance(it, EpisodeCompleted)]
    assert sorted(it.index for it in completed) == [0, 1, 2, 3], outcomes
    assert await workers.of(tmp_path) == {}


async def _both_up(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    said = (await reader.read(1_000_000)).decode()
    writer.close()
    up = sum(line.startswith("kinitro_worker_up{") and line.endswith(" 1.0") for line in said.splitlines())
    return up == 2 and "kinitro_engine_up 1.0" in said


async def test_a_container_that_is_killed_is_started_again(
    workers: Workers, connection: Connection, url: str, tmp_path: Path
) -> None:
    async with executor(workers, tmp_path, url, "--workers", "1") as running:
        first = await _one_running(workers, tmp_path)
        workers.engine.command("kill", first)

        async def another() -> bool:
            return bool(set((await workers.running(tmp_path)).values()) - {first})

        await eventually(another)
        await running.stop()


async def test_containers_of_a_killed_executor_are_adopted_or_else_removed(
    workers: Workers, connection: Connection, url: str, tmp_path: Path
) -> None:
    async with executor(workers, tmp_path, url, "--workers", "2") as running:
        await eventually(lambda: _as_many(workers, tmp_path, 2))
        running.process.kill()
        await running.ended()
    left = await workers.running(tmp_path)
    assert len(left) == 2

    async with executor(workers, tmp_path, url, "--workers", "1") as running:  # the same worker 1, no worker 2
        await eventually(lambda: "adopted a running container" in running.output)
        await eventually(lambda: _as_many(workers, tmp_path, 1))
        [(name, adopted)] = (await workers.running(tmp_path)).items()
        assert left[name] == adopted
        running.process.kill()
        await running.ended()

    async with executor(workers, tmp_path, url, "--workers", "1", "--eval-pids", "100") as running:

        async def another() -> bool:
            return set((await workers.running(tmp_path)).values()).isdisjoint({adopted, ""}) and await _as_many(
                workers, tmp_path, 1
            )

        await eventually(another)
        assert await running.stop() == 0
    assert await workers.of(tmp_path) == {}


async def test_one_home_has_one_executor(workers: Workers, connection: Connection, url: str, tmp_path: Path) -> None:
    async with executor(workers, tmp_path, url, "--workers", "1") as first:
        await _one_running(workers, tmp_path)
        async with executor(workers, tmp_path, url, "--workers", "1") as second:
            assert await second.ended() == 2
            assert "another executor has its containers by KINITRO_HOME" in second.output
        await first.stop()


async def _as_many(workers: Workers, home: Path, number: int) -> bool:
    return len(await workers.running(home)) == number


async def _one_running(workers: Workers, home: Path) -> str:
    await eventually(lambda: _as_many(workers, home, 1))
    [container] = (await workers.running(home)).values()
    return container


# What cannot be


LIMITS = ContainerLimits(MEMORY, 1.0, 64)


async def refusal(
    workers: Workers, home: Path, *, engine: str = "", image: str = IMAGE, gpus: str | None = None
) -> str:
    """What an executor of these settings says, which cannot run."""
    settings = ContainerSettings(engine or workers.url, image, replace(LIMITS, gpus=gpus), home, {})
    with pytest.raises(ForPeople) as refused:
        async with in_containers(settings, ["here-1"], metrics=False) as those, Supervisor() as supervisor:
            await supervisor.start(those.children[0])
    assert await workers.of(home) == {}
    return str(refused.value)


async def test_who_has_no_image_is_told_how_to_make_it(
    workers: Workers, connection: Connection, url: str, tmp_path: Path
) -> None:
    async with executor(workers, tmp_path, url, "--eval-image", "nobody/knows:this") as running:
        assert await running.ended() == 2
    assert running.output == (
        f"kinitro: the Docker engine at {workers.url} has no image nobody/knows:this: make it with"
        " `kinitro build-eval-env --tag nobody/knows:this`\n"
    )


async def test_an_image_of_other_sources_is_refused(workers: Workers, tmp_path: Path) -> None:
    old = f"FROM {IMAGE}\nLABEL kinitro.sources=0\n"
    workers.engine.command("build", "--tag", "kinitro-tests/old:1", "-", text=old)
    said = await refusal(workers, tmp_path, image="kinitro-tests/old:1")
    assert "image kinitro-tests/old:1 was not built from these sources of kinitro" in said
    assert said.endswith("make it with `kinitro build-eval-env --tag kinitro-tests/old:1`")


async def test_an_engine_without_gpus_gives_none(workers: Workers, tmp_path: Path) -> None:
    said = await refusal(workers, tmp_path, gpus="all")
    assert "worker 1 cannot be started: the Docker engine has no GPU to give: ask for none" in said


async def test_where_no_engine_answers_the_address_is_told(workers: Workers, tmp_path: Path) -> None:
    said = await refusal(workers, tmp_path, engine=f"unix://{tmp_path}/docker.sock")
    assert said.startswith(f"no Docker engine answers at unix://{tmp_path}/docker.sock: start one there, or give")


async def test_a_home_too_long_for_sockets_is_refused(workers: Workers, tmp_path: Path) -> None:
    said = await refusal(workers, tmp_path / ("long" * 25))
    assert "is too long for sockets in it" in said


def test_an_amount_of_memory_that_is_none_is_refused() -> None:
    with pytest.raises(Misused, match="--eval-mem-limit: expected an amount of memory such as 8g"):
        ContainerOptions(eval_mem_limit="much").limits()


def test_gpus_that_are_none_are_refused() -> None:
    with pytest.raises(Misused, match="--eval-gpus: expected all, a number, or identifiers"):
        ContainerOptions(eval_gpus="a b").limits()


async def test_who_may_not_use_the_engine_is_told_so(workers: Workers) -> None:
    async with engine_at(workers.url) as docker:
        os.seteuid(65534)
        try:
            with pytest.raises(EngineUnusable, match="permission denied; make it a member of the group"):
                await answering(docker, workers.url)
        finally:
            os.seteuid(0)


# The image


async def built(workers: Workers, tmp_path: Path, *options: str) -> tuple[int, str]:
    """Exit status and what was said."""
    command = kinitro("--home", str(tmp_path), "build-eval-env", "--docker-host", workers.url, *options)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 600)
    return await process.wait(), said.decode()


async def test_a_step_that_fails_is_told_with_what_it_said(workers: Workers, tmp_path: Path) -> None:
    status, said = await built(workers, tmp_path, "--base-image", IMAGE, "--tag", "kinitro-tests/broken:1")
    assert status == 1
    assert "\n3/" in said
    last = said.splitlines()[-1]
    assert last.startswith("kinitro: kinitro-tests/broken:1 could not be built: step 3 of ")
    assert "/bin/sh" in last  # which this base has not
    assert "Traceback" not in said


@pytest.mark.skipif(os.environ.get("KINITRO_TESTS_LONG") != "1", reason="long; KINITRO_TESTS_LONG=1 runs it")
@pytest.mark.timeout(1500)
async def test_a_cycle_in_containers_comes_to_the_same_weights(
    workers: Workers, tmp_path: Path, subnet: Subnet, undisturbed: Result
) -> None:
    base, tag = "kinitro-tests/debian:1", "kinitro-tests/eval:1"
    debian_image(workers.engine, base)
    status, said = await built(workers, tmp_path, "--base-image", base, "--tag", tag)
    print(said)
    assert status == 0, said
    chosen = ContainerOptions(Runtime.DOCKER, tag, "1g")
    with new_home() as home:
        variables = environment(chosen) | {"DOCKER_HOST": workers.url}
        assert await run_undisturbed(home, subnet, **variables) == undisturbed
        assert await workers.of(home) == {}


# Any program


Told = Callable[[], str]


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str]) -> Told:
    """All that was said so far, by us and by containers."""
    whole: list[str] = []

    def told() -> str:
        whole.extend(capfd.readouterr())
        return "".join(whole)

    return told


@asynccontextmanager
async def containers(workers: Workers, owner: str) -> AsyncIterator[tuple[Containers, Supervisor]]:
    async with engine_at(workers.url) as docker:
        image = (await docker.images.inspect(PYTHON))["Id"]
        place = Place(owner, image, 10001, 10001, LIMITS, 1)
        async with containers_of(docker, workers.url, place) as made, Supervisor() as supervisor:
            yield made, supervisor
        assert await shown(docker, owner) == {}


def child(made: Containers, program: str, probe: Probe | None = None) -> Child:
    wanted = Wanted("it", (program,), {}, probe=probe)
    return Child("it", wanted.command, launch=made.launching(wanted), stop_grace_s=20)


SLEEP = "import time\nprint('awake')\ntime.sleep(300)"


async def test_a_container_can_do_no_harm(workers: Workers, told: Told) -> None:
    program = """
import os
print("user", os.getuid(), os.getgid())
for path in ("/new", "/usr/new", "/tmp/new", "/run/kinitro/new"):
    try:
        open(path, "w").close()
        print("wrote", path)
    except OSError as error:
        print("refused", path)
print([line for line in open("/proc/self/status") if line.startswith(("CapEff", "NoNewPrivs"))])
raise SystemExit(2)
"""
    async with containers(workers, "a" * 32) as (made, supervisor):
        await supervisor.start(child(made, program))
        with pytest.raises(ChildRefused):
            await supervisor.before_refusal(asyncio.sleep(60))
    said = told()
    assert "it: user 10001 10001\n" in said
    assert "it: refused /new\nit: refused /usr/new\nit: wrote /tmp/new\nit: wrote /run/kinitro/new\n" in said
    assert "'CapEff:\\t0000000000000000\\n', 'NoNewPrivs:\\t1\\n'" in said


async def test_a_container_that_cannot_run_like_this_is_refused_with_its_words(workers: Workers) -> None:
    async with containers(workers, "b" * 32) as (made, supervisor):
        await supervisor.start(child(made, "print('no such option')\nraise SystemExit(2)"))
        with pytest.raises(ChildRefused, match=r"it cannot run like this \(exit status 2\): no such option"):
            await supervisor.before_refusal(asyncio.sleep(60))


async def test_a_container_without_its_program_is_refused(workers: Workers) -> None:
    workers.engine.command("build", "--tag", PYTHON, "-", text=f'FROM {PYTHON}\nENTRYPOINT ["/nowhere"]\n')
    try:
        async with containers(workers, "9" * 32) as (made, supervisor):
            await supervisor.start(child(made, ""))
            with pytest.raises(ChildRefused, match=r"it cannot run like this \(exit status 127\): .*/nowhere"):
                await supervisor.before_refusal(asyncio.sleep(60))
    finally:
        program = '["/usr/local/bin/python", "-u", "-c"]'
        workers.engine.command("build", "--tag", PYTHON, "-", text=f"FROM {PYTHON}\nENTRYPOINT {program}\n")


async def test_a_container_without_memory_says_so(workers: Workers, told: Told) -> None:
    async with containers(workers, "c" * 32) as (made, supervisor):
        await supervisor.start(child(made, "x = bytearray(400 << 20)\nimport time\ntime.sleep(300)"))
        await eventually(lambda: "the container had no memory left" in told())
        await eventually(lambda: "child ended: will be restarted" in told())


async def test_a_container_that_is_not_well_is_started_again(workers: Workers, told: Told) -> None:
    async with containers(workers, "d" * 32) as (made, supervisor):
        await supervisor.start(child(made, SLEEP, Probe("raise SystemExit(1)", every_s=1, failures=1, start_s=0)))
        await eventually(lambda: "the container is not well: killed" in told())
        await eventually(lambda: "child ended: will be restarted" in told())


async def test_a_container_that_does_not_stop_is_killed(workers: Workers, told: Told) -> None:
    stubborn = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf')\ntime.sleep(300)"
    async with containers(workers, "e" * 32) as (made, supervisor):
        await supervisor.start(replace(child(made, stubborn), stop_grace_s=0.5))
        await eventually(lambda: "it: deaf" in told())
        await supervisor.close()
    assert "child did not stop in time: killed" in told()


async def test_an_engine_that_is_killed_gets_its_containers_again(workers: Workers, told: Told) -> None:
    async with containers(workers, "f" * 32) as (made, supervisor), engine_at(workers.url) as docker:
        await supervisor.start(child(made, SLEEP))
        [before] = [it["Id"] for it in (await shown(docker, "f" * 32)).values()]
        await asyncio.to_thread(workers.engine.stop, signal.SIGKILL)
        await asyncio.to_thread(workers.engine.start)

        async def another() -> bool:
            now = (await shown(docker, "f" * 32)).values()
            return [it["State"]["Running"] for it in now] == [True] and [it["Id"] for it in now] != [before]

        await eventually(another)
