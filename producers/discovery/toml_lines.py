"""On which line of a TOML document something stands. `tomllib` says it for syntax errors only."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

_AT_LINE = re.compile(r"at line (\d+), column \d+")


def line_of(text: str, path: Sequence[str | int]) -> int:
    """The 1-based line on which the statement begins that brings `path` into being; 0 if none does.

    `path` is made of keys and array positions: `("miner", 3, "uid")`. No second parser is needed: the line is the
    last of the shortest run of whole lines that `tomllib` reads and that contains the path. As a path never goes
    away in a longer run, it is found by bisection. `text` must be valid TOML.
    """
    lines = text.split("\n")
    if not _contains(tomllib.loads(text), path):
        return 0
    without, within = 0, len(lines)
    while within - without > 1:
        middle = (without + within) // 2
        readable, document = _readable(lines, middle)
        if readable <= without or not _contains(document, path):
            without = middle
        else:
            within = readable
    return _readable(lines, within - 1)[0] + 1


def line_of_syntax_error(text: str, error: tomllib.TOMLDecodeError) -> int:
    """The 1-based line of what `tomllib` could not read."""
    found = _AT_LINE.search(str(error))
    return int(found[1]) if found else text.rstrip("\n").count("\n") + 1


def _readable(lines: list[str], count: int) -> tuple[int, dict[str, Any]]:
    """The longest readable run of at most `count` lines: a statement over several lines is read whole or not."""
    while count:
        try:
            return count, tomllib.loads("\n".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            count -= 1
    return 0, {}


def _contains(value: Any, path: Sequence[str | int]) -> bool:
    for part in path:
        if isinstance(part, int):
            if not isinstance(value, list) or part >= len(value):
                return False
        elif not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True
