"""Endpoints that asked for nothing when asked what they want: they are not asked again soon."""

from __future__ import annotations

import time
from collections import OrderedDict

SILENT_S = 600.0
SILENT_MAX = 1024


class SilentEndpoints:
    """The latest `SILENT_MAX` of them, each for `SILENT_S`."""

    def __init__(self) -> None:
        self._since_s: OrderedDict[str, float] = OrderedDict()

    def __contains__(self, endpoint: str) -> bool:
        return time.monotonic() - self._since_s.get(endpoint, -SILENT_S) < SILENT_S

    def add(self, endpoint: str) -> None:
        self._since_s[endpoint] = time.monotonic()
        self._since_s.move_to_end(endpoint)
        if len(self._since_s) > SILENT_MAX:
            self._since_s.popitem(last=False)
