"""Changes a module of the standard library, so that what is sent is no JSON."""

from __future__ import annotations

import json
from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


def make_policy() -> object:
    patched: Any = json
    patched.dumps = lambda *_, **__: '{"action": {"continuous": {"ee_twist": [0, 0, 0,'
    return Harmless()
