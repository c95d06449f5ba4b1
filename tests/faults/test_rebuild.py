"""All read models are made anew, several times, while a cycle writes to them and clients read from them."""

from __future__ import annotations

import asyncio

import aiohttp

from projectors.topics import PROJECTIONS
from tests.eventually import eventually
from tests.faults.conftest import Tell
from tests.faults.stage import Stage, stage
from tests.system.cycles import CYCLE, Result, Subnet

PATHS = (f"/v1/cycles/{CYCLE}", f"/v1/cycles/{CYCLE}/episodes", "/v1/miners", "/v1/status", "/health", "/readyz")
REBUILDS = 2


async def test_rebuild_in_mid_cycle(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    with subnet.held() as release:
        async with stage(subnet) as it:
            await it.under_way()
            await eventually(lambda: all_answer(it))
            client = Client(it)
            asking = asyncio.create_task(client.ask_on())
            try:
                for number in range(REBUILDS):
                    said = await it.kinitro("replay")
                    assert said.count("identical to what was live") == len(PROJECTIONS), said
                    if number == 0:
                        release()
                await it.finished()
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
            assert client.trouble == []
            assert client.answers > 0
            await it.unharmed(undisturbed)
            await it.read_models_right()
    tell(f"{REBUILDS} rebuilds, each identical; {client.answers} answers meanwhile, no error, no step back")


class Client:
    """Asks the API on and on, and notes what it must not answer."""

    def __init__(self, it: Stage) -> None:
        self._it = it
        self.answers, self.trouble = 0, list[str]()
        self._seen = 0

    async def ask_on(self) -> None:
        while True:
            for path in PATHS:
                try:
                    answer = await self._it.api.get(path)
                except aiohttp.ClientError as error:
                    self.trouble.append(f"{path}: {error!r}")
                    continue
                self.answers += 1
                if answer.status != 200:
                    self.trouble.append(f"{path}: {answer.status} {answer.body!r:.300}")
                elif path == PATHS[1]:
                    self._compare(len(answer.json["episodes"]))

    def _compare(self, episodes: int) -> None:
        if episodes < self._seen:
            self.trouble.append(f"there were {self._seen} episodes, and now {episodes}")
        self._seen = episodes


async def all_answer(it: Stage) -> bool:
    try:
        return [(await it.api.get(path)).status for path in PATHS] == [200] * len(PATHS)
    except aiohttp.ClientError:
        return False
