"""Who may import whom. The packages meet in the log: producers, consumers and projectors never import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ALLOWED: dict[str, set[str]] = {
    "events": set(),
    "sim": {"events.ids", "events.variation", "events.cli", "events.for_people"},
    "producers": {"events"},
    "consumers": {"events", "sim"},
    "projectors": {"events"},
    "api": {
        "events",
        "projectors",
        "consumers.scoring.explanation",
        "consumers.scoring.explanation_parts",
        "consumers.scoring.paired",
    },
    "api.together": {"events", "sim", "producers", "consumers", "projectors"},
}
"""Besides itself: a package, or one module of it. Where a package is in another, the rule of the inner one holds."""

PACKAGES = {name for name in ALLOWED if "." not in name}
OURS = {*PACKAGES, "tests", "kinitro"}
TOGETHER = "api.together"
"""What runs several packages as one: nobody but the command line has a use for it."""

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports(source: str, module: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported anywhere in a source, functions and type checking included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def forbidden(source: str, module: str) -> list[str]:
    """What a module imports and may not, as `line: name`."""
    rule = max((name for name in ALLOWED if is_within(module, name)), key=len)
    allowed = ALLOWED[rule] | {module.partition(".")[0]}
    return [
        f"{line}: {name}"
        for line, name in imports(source, module)
        if name.partition(".")[0] in OURS
        and (not any(is_within(name, permitted) for permitted in allowed) or _comes_from_above(name, module))
    ]


def _comes_from_above(name: str, module: str) -> bool:
    return is_within(name, TOGETHER) and not is_within(module, TOGETHER)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_direction(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    assert forbidden(path.read_text(), module) == []


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("events.log", "import sim", ["1: sim"]),
        ("events.log", "from events.ids import Uid", []),
        ("events.log", "from . import ids\nfrom .ids import Uid", []),
        ("events.log", "from ..sim import suite", ["1: sim.suite"]),
        ("sim.suite", "from events.ids import EnvId", []),
        ("sim.suite", "from events import ids", []),
        ("sim.suite", "from events.log import EventLog", ["1: events.log.EventLog"]),
        ("sim.suite", "import events", ["1: events"]),
        (
            "producers.cycles.plan",
            "def f():\n    from consumers.scoring import rates",
            ["2: consumers.scoring.rates"],
        ),
        ("consumers.scoring.handler", "import projectors.weights as w", ["1: projectors.weights"]),
        ("consumers.scoring.handler", "from sim.suite import TASKS", []),
        ("projectors.runner", "from api import app", ["1: api.app"]),
        ("api.app", "from projectors.runner import Runner", []),
        ("api.app", "import kinitro, tests.controls.facts", ["1: kinitro", "1: tests.controls.facts"]),
        ("api.app", "import eventsourcing", []),
        ("api.app", "from api.together.home import Home", ["1: api.together.home.Home"]),
        ("api.together.demo", "from producers.options import CycleOptions\nfrom api.commands import ApiOptions", []),
        ("api.together.demo", "import kinitro", ["1: kinitro"]),
    ],
)
def test_the_check_finds_what_it_is_for(module: str, source: str, found: list[str]) -> None:
    assert forbidden(source, module) == found


def test_every_package_is_covered() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - {"tests"} == PACKAGES
