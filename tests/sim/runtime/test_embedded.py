from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from events.server import EmbeddedNats
from sim.runtime.embedded import is_running, run_or_join
from tests.eventually import eventually

OWNER = """
import asyncio, sys
from pathlib import Path
from events.server import EmbeddedNats
from sim.runtime.embedded import run_or_join
async def main():
    home = Path(sys.argv[1])
    async with run_or_join("nats", EmbeddedNats(home), home) as url:
        print(url, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def owner(home: Path) -> tuple[asyncio.subprocess.Process, str]:
    """Another process that runs the server of this home, and the URL that it tells."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(home), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    return process, (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()


async def test_a_second_process_joins_the_server_of_the_first(tmp_path: Path) -> None:
    process, url = await owner(tmp_path)
    async with run_or_join("nats", EmbeddedNats(tmp_path), tmp_path) as joined:
        assert joined == url
    assert process.returncode is None
    process.kill()
    await process.wait()


async def test_who_joined_takes_over_when_the_owner_is_killed(tmp_path: Path) -> None:
    process, url = await owner(tmp_path)
    server = EmbeddedNats(tmp_path)
    async with run_or_join("nats", server, tmp_path) as joined:
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await eventually(lambda: (tmp_path / "logs" / "nats.log").read_text().count("Server is ready") == 2)
        await server.wait_ready(60)
        assert server.url == joined == url
    assert not is_running("nats", tmp_path)
