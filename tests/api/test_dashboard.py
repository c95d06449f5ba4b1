"""What the dashboard is made of: its files, what browsers are told of them, and what they know of our events."""

from __future__ import annotations

import re

import pytest

from api.dashboard.serving import ASSETS, PAGES
from events.codec import TYPES
from tests.fixtures.http import Api

FIRST_PAINT = ("main.js", "api.js", "dom.js", "format.js", "stream.js", "pages/now.js")
FIRST_PAINT_BYTES_MAX = 50_000


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_the_shell_and_asks_no_other_host(path: str, api: Api) -> None:
    answer = await api.get(path.replace("{", "").replace("}", ""))
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert re.findall(rb"(?:src|href)=\"(?!/)[^#]", answer.body) == []


async def test_a_file_that_has_not_changed_is_not_sent_again(api: Api) -> None:
    first = await api.get("/assets/main.js")
    again = await api.get("/assets/main.js", **{"If-None-Match": first.headers["ETag"]})
    assert (first.status, again.status, again.body) == (200, 304, b"")


async def test_files_are_sent_compressed(api: Api) -> None:
    answer = await api.get("/assets/main.js", **{"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.body == (ASSETS / "main.js").read_bytes()


async def test_a_proxy_that_weakens_the_etag_is_understood(api: Api) -> None:
    tag = (await api.get("/assets/main.js")).headers["ETag"]
    again = await api.get("/assets/main.js", **{"If-None-Match": f"W/{tag}"})
    assert again.status == 304


async def test_every_import_is_a_file_that_is_served(api: Api) -> None:
    for path in ASSETS.rglob("*.js"):
        for name in re.findall(r"(?:from|import\()\s*\"(\.[^\"]+)\"", path.read_text()):
            target = (path.parent / name).resolve().relative_to(ASSETS)
            assert (await api.get(f"/assets/{target}")).status == 200, f"{path.name} imports {name}"


def test_the_stream_is_asked_for_exactly_the_types_that_there_are() -> None:
    block = (ASSETS / "stream.js").read_text().partition("export const TYPES")[2].partition("};")[0]
    assert sorted(re.findall(r"\"(kinitro\.[a-z_.]+)\"", block)) == sorted(TYPES)


def test_no_script_builds_markup_from_text() -> None:
    scripts = "\n".join(path.read_text() for path in ASSETS.rglob("*.js"))
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", scripts) == []


def test_the_first_page_is_small() -> None:
    assert sum((ASSETS / name).stat().st_size for name in FIRST_PAINT) < FIRST_PAINT_BYTES_MAX
