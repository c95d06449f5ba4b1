"""The dashboard: a shell for every page of it, and its files, which need no build and ask nobody else for anything.

All files are read once, when the application is made: together they are smaller than one picture.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
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


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent. Browsers keep it, and ask each time whether it is still the same."""

    body: bytes
    headers: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Asset:
        body = path.read_bytes()
        headers = {
            "Content-Type": MEDIA_TYPES[path.suffix],
            "ETag": f'"{hashlib.sha256(body).hexdigest()}"',
            "Cache-Control": "no-cache",
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
        }
        return cls(body, headers)

    def response(self, request: Request) -> Response:
        if request.headers.get("If-None-Match") == self.headers["ETag"]:
            return Response(status_code=304, headers=self.headers)
        return Response(self.body, headers=self.headers)


def router() -> APIRouter:
    """Its pages and files. They are no part of the API that is described."""
    files = {
        path.relative_to(ASSETS).as_posix(): Asset.read(path)
        for path in ASSETS.rglob("*")
        if path.suffix in MEDIA_TYPES
    }
    routes = APIRouter(include_in_schema=False)

    async def page(request: Request) -> Response:
        return files["index.html"].response(request)

    async def asset(name: str, request: Request) -> Response:
        if name not in files:
            raise HTTPException(404)
        return files[name].response(request)

    for path in PAGES:
        routes.add_api_route(path, page, methods=["GET"])
    routes.add_api_route("/assets/{name:path}", asset, methods=["GET"])
    return routes
