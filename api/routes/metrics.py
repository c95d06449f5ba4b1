"""Numbers for Prometheus."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Header, Request, Response

from api.dependencies import All
from api.metrics import ApiMetrics

router = APIRouter(tags=["health"])

TEXT = {
    "description": "Prometheus' text format, or OpenMetrics where it is asked for.",
    "content": {"text/plain": {}},
}


@router.get("/metrics", responses={200: TEXT}, response_class=Response)
async def metrics(request: Request, resources: All, accept: Annotated[str, Header()] = "") -> Response:
    """Cycles, scores, miners, queue and lag. The help of each says whether it is by the log or of this process."""
    told = cast("ApiMetrics", request.app.state.metrics)
    body, media_type = await told.scraped(resources, accept)
    return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})
