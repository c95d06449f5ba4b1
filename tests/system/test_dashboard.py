"""The dashboard as people use it: a real backend, a real cycle, a real browser."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser

from tests.eventually import eventually
from tests.fixtures.http import Api
from tests.system import processes
from tests.system.backends import SLOTS, backend, new_home
from tests.system.browser import CHROMIUM, PHONE, browser, visit
from tests.system.cycles import CYCLE_S, Subnet, all_slots_taken, log_of, plan_and_seed, scored, some_outcomes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(700),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]

EPISODE = "1.2.metaworld.reach-v3.0"
PAGES = {
    "standings": ("/standings", "Standings"),
    "miners": ("/miners", "Miners"),
    "miner": ("/miners/miner-2", "miner-2"),
    "cycles": ("/cycles", "Cycles"),
    "cycle": ("/cycles/1", "Cycle 1"),
    "episode": (f"/episodes/{EPISODE}", "reach #0"),
    "log": ("/log", "The event log"),
}


async def test_a_cycle_fills_up_live_through_a_restart_and_every_page_stands(subnet: Subnet) -> None:
    with new_home() as home, subnet.held() as release:
        await plan_and_seed(home, subnet)
        async with (
            backend(home, subnet) as (running, api),
            log_of(home) as log,
            browser() as chromium,
            asyncio.timeout(2 * CYCLE_S),
        ):
            await some_outcomes(log)
            await all_slots_taken(log, SLOTS)
            await eventually(lambda: _answers(api), CYCLE_S)
            async with visit(chromium, api.base_url) as now:
                await now.sees("#link", "live")
                before = _done(await now.text("main"))
                assert 0 < before < 27
                assert now.complaints == []
                await now.picture("now-running")

                processes.child(home, "kinitro.py api").kill()
                await now.sees("#link", "reconnecting")
                await now.sees("#link", "live")
                release()
                await now.sees("main", "27 of 27 episodes")
                await now.sees("main", "weights computed")
                await now.picture("now-ended")
                assert now.hosts == {urlsplit(api.base_url).netloc}
            await scored(log)
            for name in PAGES:
                await _look(chromium, api.base_url, name)
            await _check_in_the_browser(chromium, api.base_url)
            await _see_an_episode(chromium, api.base_url)
            await _go_by_keys(chromium, api.base_url)
            await running.stop()


async def _answers(api: Api) -> bool:
    try:
        return (await api.get("/livez")).status == 200
    except OSError:
        return False


def _done(text: str) -> int:
    found = re.search(r"(\d+) of 27 episodes", text)
    assert found is not None, text
    return int(found[1])


async def _look(chromium: Browser, url: str, name: str) -> None:
    """The page on a desk in light, and on a phone in the dark."""
    path, head = PAGES[name]
    async with visit(chromium, url + path) as page:
        await page.sees("h1", head)
        await page.page.wait_for_timeout(300)
        await page.picture(name)
        assert page.complaints == []
        assert page.hosts == {urlsplit(url).netloc}
    async with visit(chromium, url + path, dark=True, size=PHONE) as page:
        await page.sees("h1", head)
        await page.page.wait_for_timeout(300)
        await page.picture(f"{name}-phone")
        wide = await page.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not wide, f"{name} is wider than a phone"


async def _check_in_the_browser(chromium: Browser, url: str) -> None:
    async with visit(chromium, f"{url}/cycles/1") as page:
        await page.page.get_by_role("button", name="Check it in this browser").click()
        await page.sees("main", "all the same")
        await page.picture("cycle-checked")


async def _see_an_episode(chromium: Browser, url: str) -> None:
    async with visit(chromium, f"{url}/episodes/{EPISODE}") as page:
        await page.page.get_by_role("button", name="Twelve pictures").click()
        await page.page.locator("img.sheet").wait_for(timeout=1000 * CYCLE_S)
        await page.picture("episode-seen")
        assert page.complaints == []


async def _go_by_keys(chromium: Browser, url: str) -> None:
    async with visit(chromium, f"{url}/cycles") as page:
        await page.sees("h1", "Cycles")
        await page.page.keyboard.press("s")
        await page.sees("h1", "Standings")
        await page.page.keyboard.press("l")
        await page.sees("h1", "The event log")
        await page.page.keyboard.press("/")
        await page.page.keyboard.type("kinitro.cycle.sealed")
        await page.sees("main", "1 of ")
        await page.page.go_back()
        await page.sees("h1", "Standings")
