"""What the API and the events look like: for people at `/docs`, for programs as OpenAPI and AsyncAPI."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request, Response

from api import asyncapi

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parent.parent / "docs"
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"
"""Nothing is asked of another host, and nothing in the documents can be run."""


@router.get("/asyncapi.json")
async def events(request: Request) -> Response:
    """All events."""
    return Response(asyncapi.document(request.app.version), media_type=asyncapi.MEDIA_TYPE)


@router.get("/docs")
async def page() -> Response:
    """Both documents, to be read."""
    return _file("index.html", "text/html", **{"Content-Security-Policy": POLICY})


@router.get("/docs/docs.css")
async def style() -> Response:
    """Of the page."""
    return _file("docs.css", "text/css")


@router.get("/docs/docs.js")
async def script() -> Response:
    """Of the page."""
    return _file("docs.js", "text/javascript")


def _file(name: str, media_type: str, **headers: str) -> Response:
    return Response((FOLDER / name).read_bytes(), media_type=media_type, headers=headers)
