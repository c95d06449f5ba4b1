"""Debian's Chromium, driven as a person would, and what its pages complain about."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

CHROMIUM = shutil.which("chromium")
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
"""For people to look at; they are in no commit."""

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 60_000
WIDE, PHONE = (1200, 800), (390, 800)


class Visit:
    """One open page, and all that it says and asks for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("blob", "data"):
            self.hosts.add(address.netloc)

    async def text(self, selector: str) -> str:
        return await self.page.locator(selector).first.inner_text()

    async def sees(self, selector: str, words: str) -> None:
        """Returns once the element has these words."""
        await self.page.locator(selector).filter(has_text=words).first.wait_for(timeout=PATIENCE_MS)

    async def picture(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            yield chromium
        finally:
            await chromium.close()


@asynccontextmanager
async def visit(
    chromium: Browser, url: str, *, dark: bool = False, size: tuple[int, int] = WIDE
) -> AsyncIterator[Visit]:
    """A page in a window of its own."""
    context = await chromium.new_context(
        color_scheme="dark" if dark else "light",
        viewport={"width": size[0], "height": size[1]},
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MS)
    try:
        opened = Visit(await context.new_page())
        await opened.page.goto(url)
        yield opened
    finally:
        await context.close()
