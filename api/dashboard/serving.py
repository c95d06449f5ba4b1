"""The dashboard: a shell for every page of it, and its files, which need no build and ask nobody else for anything.

All files are read once, when the application is made: together they are smaller than one picture.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

ASSETS = Path(__file__).parent / "assets"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""Nothing of the page comes from another host, and what a miner wrote is never run. Films are blobs of ours,
and what a camera sees now comes as data."""

PAGES = (
    "/",
    "/standings",
    "/miners",
    "/miners/{hotkey}",
    "/cycles",
    "/cycles/{cycle_id}",
    "/episodes/{episode_id}",
    "/log",
)
"""The same shell: which of them it is, `assets/main.js` reads from the address."""


HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def router() -> APIRouter:
    """Its pages and files. They are no part of the API that is described."""
    files = {
        path.relative_to(ASSETS).as_posix(): (path.read_bytes(), MEDIA_TYPES[path.suffix])
        for path in ASSETS.rglob("*")
        if path.suffix in MEDIA_TYPES
    }
    routes = APIRouter(include_in_schema=False)

    async def asset(name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        body, media_type = files[name]
        return Response(body, media_type=media_type, headers=HEADERS)

    async def page() -> Response:
        return await asset("index.html")

    for path in PAGES:
        routes.add_api_route(path, page, methods=["GET"])
    routes.add_api_route("/assets/{name:path}", asset, methods=["GET"])
    return routes
