"""Errors as RFC 9457 problems. The `type` is stable: clients may decide by it.

| type (after `urn:kinitro:problem:`) | status | meaning                                                     |
|-------------------------------------|--------|-------------------------------------------------------------|
| `unknown-path`                      | 404    | no such endpoint                                            |
| `method-not-allowed`                | 405    | the endpoint exists, but not with this method               |
| `invalid-request`                   | 422    | a parameter is out of its bounds; `errors` names each       |
| `bad-request`                       | 400    | this is no HTTP                                             |
| `head-too-large`                    | 431    | the request's headers are longer than any need be           |
| `unknown-cycle`                     | 404    | no cycle of this number was planned                         |
| `unknown-episode`                   | 404    | no plan holds this episode                                  |
| `unknown-miner`                     | 404    | no such uid in this cycle, or no such hotkey at all         |
| `unknown-environment`               | 404    | no such environment in this cycle                           |
| `trace-not-yet-public`              | 409    | recordings stay secret until their cycle has ended          |
| `no-trace`                          | 404    | the episode was never run, or has no evidence               |
| `trace-gone`                        | 404    | the recording is no longer kept, or never was               |
| `no-weights`                        | 404    | no cycle has given weights yet, or none at this block       |
| `no-scores`                         | 404    | the cycle has no scores, or none has                        |
| `not-yet-projected`                 | 409    | `at_seq` is past the newest event in the read models        |
| `weights-withheld`                  | 409    | the cycle ended without weights; the detail says why        |
| `not-yet-scored`                    | 409    | the cycle has no weights yet                                |
| `cycle-not-ended`                   | 409    | what is asked for follows from all episodes of a cycle      |
| `no-verification`                   | 404    | no spot check of this miner in this cycle, or not yet       |
| `no-key`                            | 404    | the backend has announced no key to sign with yet           |
| `not-signed`                        | 404    | this of the cycle is not signed, or not yet                 |
| `unknown-event`                     | 404    | the log has no event at this sequence                       |
| `not-sealed`                        | 404    | the event is under no seal, and never will be               |
| `not-yet-sealed`                    | 409    | the event's cycle has not ended                             |
| `not-authentic`                     | 401    | not signed as it has to be; `reason` says what is wrong     |
| `not-the-owner`                     | 403    | signed by another hotkey than that of the path              |
| `too-many-requests`                 | 429    | this address asks too much; `Retry-After` says when again   |
| `body-too-large`                    | 413    | a signed request with more than 65,536 bytes                |
| `no-ended-cycle`                    | 404    | the miner was in no cycle yet that has ended                |
| `evidence-broken`                   | 500    | the log holds other events than a seal speaks of            |
| `database-unavailable`              | 503    | PostgreSQL does not answer in time                          |
| `log-unavailable`                   | 503    | NATS does not answer in time                                |
| `too-many-exports`                  | 503    | as many exports as go at once are under way                 |
| `too-many-films`                    | 503    | several films of episodes are waited for already            |
| `no-film`                           | 503    | the episode could not be drawn here, or not in time         |
| `beyond-the-log`                    | 409    | to be resumed after a sequence that the log does not have   |
| `too-many-readers`                  | 503    | as many streams, or readers of running episodes, as may be  |
| `server-stopping`                   | 503    | this copy of the API ends; also the end of its streams      |
| `reader-too-slow`                   | 503    | a stream's reader did not take what was sent                |
| `log-damaged`                       | 500    | the log was replaced or lost events: streams of it end      |
| `event-unreadable`                  | 500    | a stranger's event in the log, which cannot be streamed     |
| `read-models-missing`               | 503    | the database has no read models: no projector ever ran      |
| `internal-error`                    | 500    | our mistake; the log of the API says more                   |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from api.http import cors, request_ids

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:kinitro:problem:"

logger = structlog.get_logger(__name__)


class ProblemDocument(BaseModel):
    """An error as RFC 9457 describes it."""

    type: Annotated[str, Field(examples=[f"{PREFIX}unknown-cycle"])]
    title: str
    status: int
    detail: str
    instance: Annotated[str, Field(description="The path that was asked for.")]
    request_id: Annotated[str | None, Field(description="As in the header X-Request-Id.")]


class Problem(Exception):
    """An answer that is an error. `kind` is the end of its type."""

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.title, self.detail = status, kind, title, detail
        self.headers, self.more = headers, more

    def document(self, path: str) -> dict[str, Any]:
        document = ProblemDocument(
            type=PREFIX + self.kind,
            title=self.title,
            status=self.status,
            detail=self.detail,
            instance=path,
            request_id=request_ids.bound(),
        )
        return document.model_dump() | self.more

    def response(self, path: str) -> Response:
        body = orjson.dumps(self.document(path))
        return Response(body, self.status, headers=self.headers, media_type=MEDIA_TYPE)


def not_found(kind: str, detail: str) -> Problem:
    return Problem(404, kind, "Not found", detail)


def log_unavailable(timeout_s: float) -> Problem:
    detail = f"NATS did not answer within {timeout_s:g} s; try again"
    return Problem(503, "log-unavailable", "Log unavailable", detail, headers={"Retry-After": "1"})


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: these statuses come with a problem as their body."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}}}
    return {status: {"description": "Problem", "content": content} for status in statuses}


def install(app: FastAPI) -> None:
    """Makes every error of `app` a problem, also those of the framework. To be called after all routes are there."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(WebSocketRequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)
    app.router.add_websocket_route("/{path:path}", _no_such_websocket)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response(request.url.path)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError | WebSocketRequestValidationError)
    errors = [
        {"parameter": ".".join(map(str, each["loc"])), "message": each["msg"], "given": str(each.get("input"))[:100]}
        for each in error.errors()
    ]
    detail = "; ".join(f"{each['parameter']}: {each['message']}, not {each['given']!r}" for each in errors)
    return Problem(422, "invalid-request", "Invalid request", detail, errors=errors).response(request.url.path)


async def _no_such_websocket(_: WebSocket) -> None:
    raise HTTPException(404)  # the framework itself would say 403, and no more


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 404:
        problem = not_found("unknown-path", f"there is no {path}; /docs lists all endpoints")
    elif error.status_code == 405:
        detail = f"{path} takes no {request.method}, expected one of {cors.METHODS}"
        allowed = {"Allow": cors.METHODS}
        problem = Problem(405, "method-not-allowed", "Method not allowed", detail, headers=allowed)
    else:
        problem = Problem(
            error.status_code, "http-error", str(error.detail), str(error.detail), headers=error.headers
        )
    return problem.response(path)


async def _unforeseen(request: Request, error: Exception) -> Response:
    logger.error("request failed", path=request.url.path, exc_info=error)
    detail = "the request could not be answered; the log of the API says more"
    return Problem(500, "internal-error", "Internal error", detail).response(request.url.path)
