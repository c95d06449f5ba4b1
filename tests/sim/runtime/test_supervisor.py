from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from sim.runtime.children import Child, Launched, Restart
from sim.runtime.supervisor import BACKOFF_MAX_S, ChildNotReady, ChildRefused, Supervisor, backoff_s
from tests.eventually import eventually


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_a_killed_child_is_restarted() -> None:
    async with Supervisor() as supervisor:
        await supervisor.start(Child("sleeper", python("import time; time.sleep(60)")))
        first = supervisor.pid("sleeper")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: supervisor.pid("sleeper") not in (None, first))


async def test_close_stops_the_youngest_first(tmp_path: Path) -> None:
    record = tmp_path / "stops"
    code = f"""
import signal, sys, time
def stop(*_):
    open({str(record)!r}, "a").write(sys.argv[1] + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
open({str(tmp_path)!r} + "/" + sys.argv[1], "w").close()
time.sleep(60)
"""
    async with Supervisor() as supervisor:
        for name in ("server", "client"):
            await supervisor.start(Child(name, (*python(code), name)))
        await eventually(lambda: (tmp_path / "server").exists() and (tmp_path / "client").exists())
    assert record.read_text() == "client server "


async def test_a_child_that_ignores_its_signal_is_killed_after_its_grace(tmp_path: Path) -> None:
    started = tmp_path / "started"
    code = f"""
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open({str(started)!r}, "w").close()
time.sleep(60)
"""
    async with Supervisor() as supervisor:
        await supervisor.start(Child("stubborn", python(code), stop_grace_s=0.2))
        pid = supervisor.pid("stubborn")
        await eventually(started.exists)
    assert pid is not None
    assert not alive(pid)


async def test_status_zero_is_the_end_of_a_child_that_restarts_on_failure() -> None:
    async with Supervisor() as supervisor:
        await supervisor.start(Child("job", python("pass"), restart=Restart.ON_FAILURE))
        await asyncio.wait_for(supervisor.done("job"), 60)
        assert supervisor.pid("job") is None


async def test_a_job_is_repeated_until_it_succeeds(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    code = f"""
import os, sys
with open({str(tries)!r}, "a") as file: file.write("x")
sys.exit(0 if os.path.getsize({str(tries)!r}) >= 3 else 1)
"""
    async with Supervisor() as supervisor:
        await supervisor.start(Child("job", python(code), restart=Restart.ON_FAILURE))
        await asyncio.wait_for(supervisor.done("job"), 60)
    assert tries.read_text() == "xxx"


async def test_status_two_is_not_tried_again(tmp_path: Path) -> None:
    output = tmp_path / "output.log"
    async with Supervisor() as supervisor:
        await supervisor.start(
            Child("wrong", python("import sys; sys.exit('no') if 0 else sys.exit(2)"), output=output)
        )
        refused = await asyncio.wait_for(supervisor.failed, 60)
    assert "wrong" in str(refused)
    assert str(output) in str(refused)


async def test_a_program_that_does_not_exist_is_not_tried_again() -> None:
    async with Supervisor() as supervisor:
        with pytest.raises(ChildRefused, match="absent cannot be started"):
            await supervisor.start(Child("absent", ("/nonexistent/program",)))


async def test_what_nobody_foresaw_in_a_launch_ends_the_supervisor() -> None:
    async def broken(_: Child) -> Launched:
        raise ZeroDivisionError

    async with Supervisor() as supervisor:
        await supervisor.start(Child("broken", (), launch=broken))
        with pytest.raises(ZeroDivisionError):
            async with asyncio.timeout(10):
                await supervisor.until(asyncio.Event())


async def test_waiting_for_a_job_ends_when_another_child_is_refused() -> None:
    async with Supervisor() as supervisor:
        await supervisor.start(Child("job", python("import time; time.sleep(60)"), restart=Restart.ON_FAILURE))
        await supervisor.start(Child("wrong", python("import sys; sys.exit(2)")))
        with pytest.raises(ChildRefused, match="wrong"):
            await asyncio.wait_for(supervisor.done("job"), 60)


async def test_a_child_that_never_becomes_ready_is_an_error() -> None:
    async def never() -> None:
        raise TimeoutError("no answer within 0.1 s")

    async with Supervisor() as supervisor:
        with pytest.raises(ChildNotReady, match=r"slow was not ready.*no answer"):
            await supervisor.start(Child("slow", python("import time; time.sleep(60)"), ready=never))


PATIENT = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


@pytest.mark.parametrize(("program", "death_signal"), [(PATIENT, "None"), (STUBBORN, "signal.SIGKILL")])
async def test_no_child_survives_a_kill_of_its_supervisor(program: str, death_signal: str) -> None:
    code = f"""
import asyncio, signal, sys
from sim.runtime.children import Child
from sim.runtime.supervisor import Supervisor
async def main():
    async with Supervisor() as supervisor:
        child = Child("sleeper", (sys.executable, "-c", {program!r}), death_signal={death_signal})
        await supervisor.start(child)
        print(supervisor.pid("sleeper"), flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(*python(code), stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await asyncio.wait_for(parent.stdout.readline(), 60))
    assert alive(child)
    parent.kill()
    await parent.wait()
    await eventually(lambda: not alive(child))


def test_backoff_doubles_up_to_a_bound() -> None:
    assert [backoff_s(deaths) for deaths in (1, 2, 3, 4)] == [0.2, 0.4, 0.8, 1.6]
    assert backoff_s(5_000) == BACKOFF_MAX_S
