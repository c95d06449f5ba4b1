"""`docs/reliability.md` has a line for every fault of this suite, and none for a fault that it has not."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reliability.md"


def test_every_fault_has_its_line_and_every_line_its_fault() -> None:
    rows = re.findall(r"^\| `(test_\w+\.py::test_\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(_faults())


def _faults() -> list[str]:
    return [
        f"{path.name}::{node.name}"
        for path in HERE.glob("test_*.py")
        if path != Path(__file__)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
