"""Links from page to page of a list (RFC 8288), for clients that follow `Link` instead of reading cursors.

`first` is the same list from its beginning, `next` what comes after this page, and `prev`, where the position is a
number of entries, what came before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Request, Response


@dataclass(frozen=True, slots=True)
class Pages:
    """The links of one answer. All parameters but the position stay as they were asked for."""

    request: Request
    response: Response

    def link(self, parameter: str, following: str | int | None, previous: int | None = None) -> None:
        """`following` is the position of the next page; None where this is the last."""
        targets = {"first": self._to(parameter, None)}
        if previous is not None:
            targets["prev"] = self._to(parameter, previous or None)
        if following is not None:
            targets["next"] = self._to(parameter, following)
        self.response.headers["Link"] = ", ".join(f'<{target}>; rel="{name}"' for name, target in targets.items())

    def _to(self, parameter: str, position: str | int | None) -> str:
        asked = [(name, value) for name, value in self.request.query_params.multi_items() if name != parameter]
        query = urlencode([*asked, *([] if position is None else [(parameter, position)])])
        path = self.request.scope["raw_path"].decode("latin-1")
        return f"{path}?{query}" if query else path


async def _pages(request: Request, response: Response) -> Pages:
    return Pages(request, response)


Paged = Annotated[Pages, Depends(_pages)]
