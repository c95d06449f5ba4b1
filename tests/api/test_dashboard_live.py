"""Pages in a real browser while the log grows, its readers come back, and what was asked for cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser

from api.server import run_api
from tests.controls import facts
from tests.controls.cycles import large_cycle
from tests.fixtures.http import Api, Written, patient_settings
from tests.fixtures.nats import NatsProcess
from tests.fixtures.ports import free_port
from tests.fixtures.projecting import write
from tests.system.browser import CHROMIUM, browser, visit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as running:
        yield running


@pytest.fixture
async def running_cycle(read_side: Written) -> Written:
    """A cycle of which two thirds of the episodes have ended."""
    await write(read_side.log, *large_cycle()[:200])
    await read_side.project()
    return read_side


async def test_a_cell_is_drawn_anew_and_its_table_stays(api: Api, running_cycle: Written, chromium: Browser) -> None:
    async with visit(chromium, api.base_url) as now:
        await now.sees("#link", "live")
        before = await now.text("main p")
        kept = await now.page.query_selector_all("main table tr")
        await write(running_cycle.log, *large_cycle()[200:210])
        await now.page.wait_for_function(
            "before => document.querySelector('main p').innerText !== before", arg=before
        )
        assert all([await row.evaluate("row => row.isConnected") for row in kept])
        assert now.complaints == []


async def test_what_is_open_in_the_log_stays_open(api: Api, running_cycle: Written, chromium: Browser) -> None:
    async with visit(chromium, f"{api.base_url}/log") as log:
        await log.page.locator("summary").first.click()
        await log.sees("main", '"specversion"')
        await write(running_cycle.log, *large_cycle()[200:210])
        await log.sees("li:first-child .mono", str(await running_cycle.log.last_sequence()))
        assert await log.page.locator("details[open]").count() == 1


@pytest.mark.parametrize("path", ["/episodes/%ff", "/cycles/abc", "/cycles/99", "/miners/%3Cscript%3E"])
async def test_an_address_that_cannot_be_is_told(api: Api, chromium: Browser, path: str) -> None:
    async with visit(chromium, api.base_url + path) as page:
        await page.page.locator("main [role=alert]").wait_for()
        assert not [it for it in page.complaints if "Failed to load resource" not in it]


async def test_a_key_leads_away_from_the_list_of_keys(api: Api, chromium: Browser) -> None:
    async with visit(chromium, f"{api.base_url}/cycles") as page:
        await page.sees("h1", "Cycles")
        await page.page.keyboard.press("?")
        await page.sees("dialog", "what runs now")
        await page.page.keyboard.press("m")
        await page.sees("h1", "Miners")
        assert not await page.page.locator("dialog").is_visible()


async def test_a_filter_that_cannot_be_is_told(api: Api, running_cycle: Written, chromium: Browser) -> None:
    async with visit(chromium, f"{api.base_url}/log?environment=nonsense") as log:
        await log.sees("main", "nonsense")
        await log.sees("[role=status].quiet", "environment")


async def test_a_filtered_log_begins_near_its_end(api: Api, running_cycle: Written, chromium: Browser) -> None:
    await write(running_cycle.log, *large_cycle(2, miners=50, environments=8, episodes=27))
    await running_cycle.project()
    async with visit(chromium, f"{api.base_url}/log?type=kinitro.cycle.planned") as log:
        await log.sees("[role=status].quiet", "0 events shown")
        await log.page.get_by_role("button", name="Look further back").click()
        await log.sees("[role=status].quiet", "2 events shown")
        assert not await log.page.get_by_role("button", name="Look further back").is_visible()


async def test_a_page_shows_what_happened_while_the_backend_was_away(
    database_url: str, nats_server: NatsProcess, read_side: Written, chromium: Browser
) -> None:
    await write(read_side.log, *facts.whole_cycle(1))
    await read_side.project()
    settings, port = patient_settings(database_url, nats_server.url), free_port()

    @asynccontextmanager
    async def backend() -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(run_api(settings, "127.0.0.1", port, stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async with backend():
        opened = visit(chromium, f"http://127.0.0.1:{port}/standings")
        standings = await opened.__aenter__()
        await standings.sees("#link", "live")
        await standings.sees("main", "cycle 1")
    try:
        await standings.sees("#link", "reconnecting")
        await write(read_side.log, *facts.whole_cycle(2))
        await read_side.project()
        async with backend():
            await standings.sees("main", "cycle 2")
    finally:
        await opened.__aexit__(None, None, None)
