"""The page at `/docs` in a browser: both documents are there, and nobody else is asked for anything."""

from __future__ import annotations

import shutil

import pytest
from playwright.async_api import async_playwright, expect

from events.codec import TYPES
from tests.fixtures.http import NOWHERE, patient_settings, serving
from tests.fixtures.nats import NatsProcess

CHROMIUM = shutil.which("chromium")
PATIENCE_MS = 30_000


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
async def test_the_page_shows_every_route_and_every_event(nats_server: NatsProcess) -> None:
    async with serving(patient_settings(NOWHERE, nats_server.url)) as api, async_playwright() as playwright:
        paths = (await api.get("/openapi.json")).json["paths"]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda it: said.append(it.text))
        page.on("pageerror", lambda it: said.append(str(it)))
        page.on("request", lambda it: asked.append(it.url))
        await page.goto(f"{api.base_url}/docs")
        shown = page.locator("summary > code")
        await expect(shown).to_have_count(len(paths) + len(TYPES), timeout=PATIENCE_MS)
        assert {*await shown.all_text_contents()} == {*(f"GET {path}" for path in paths), *TYPES}
        await page.get_by_label("Find").fill("kinitro.cycle.sealed")
        await expect(page.locator("details:visible", has_text="evt.cycle.{cycle}.seal")).to_have_count(1)
        assert all(url.startswith((api.base_url, "data:")) for url in asked), asked
        assert said == []
        await browser.close()
