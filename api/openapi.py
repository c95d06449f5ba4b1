"""The OpenAPI 3.1 document: what the routes say, and what is the same for all of them.

`examples.json` has for each path a request and what is answered to it, word for word, by an API on the log
`tests/histories/cycles/announced-rules.ndjson`; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.http import caching
from api.problems import ProblemDocument, documented

JSON: Final = "application/json"
TEXT: Final = {"schema": {"type": "string"}}
EXAMPLES: Final = Path(__file__).parent / "examples.json"


def describe(app: FastAPI) -> None:
    """Gives `app` its document, made once, when it is asked for first."""

    @cache
    def document() -> dict[str, Any]:
        return _document(app)

    app.openapi = document  # type: ignore[method-assign]  # as FastAPI's manual extends it


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and description of each operation. All of them are `GET`."""
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    schemas[ProblemDocument.__name__] = ProblemDocument.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    examples = orjson.loads(EXAMPLES.read_bytes())
    for path, operation in operations(document):
        _complete(operation["responses"])
        if path in examples:
            _exemplify(operation, **examples[path])
    return document


def _complete(responses: dict[str, Any]) -> None:
    """What the routes cannot say themselves, because it is done around them."""
    responses |= {str(status): it for status, it in documented(429).items()}
    if "422" in responses:
        responses["422"] = documented(422)[422]
    for status, response in responses.items():
        headers = response.setdefault("headers", {})
        headers["X-Request-Id"] = TEXT | {"description": "the caller's, where it sent a sane one"}
        for name in ("RateLimit", "RateLimit-Policy"):
            headers[name] = TEXT | {"description": "draft-ietf-httpapi-ratelimit-headers; absent for loopback"}
        if status in ("429", "503"):
            headers["Retry-After"] = {"schema": {"type": "integer"}, "description": "seconds"}
    if JSON in responses["200"].get("content", {}):
        responses["200"]["headers"] |= _validators()
        responses["304"] = {"description": "Not Modified", "headers": _validators()}


def _validators() -> dict[str, Any]:
    return {
        "ETag": TEXT | {"description": "strong; send it as If-None-Match"},
        "Cache-Control": TEXT | {"example": caching.ASK_AGAIN},
    }


def _exemplify(operation: dict[str, Any], parameters: dict[str, Any], answer: Any) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in parameters:
            parameter["example"] = parameters[parameter["name"]]
    operation["responses"]["200"]["content"][JSON]["example"] = answer
