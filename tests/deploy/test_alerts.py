"""The alert rules fire where they should, and speak of metrics that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES, PROOF = ROOT / "deploy" / "alerts.yml", ROOT / "deploy" / "alerts.test.yml"
SOURCES = ("api", "consumers", "events", "producers", "projectors")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here: install prometheus")
def test_each_rule_fires_where_it_should_and_is_silent_beside_it() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", PROOF], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_the_rules_is_one_of_ours() -> None:
    ours = "\n".join(path.read_text() for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))
    named = {name.removesuffix("_total") for name in re.findall(r"\bkinitro_\w+", RULES.read_text())}
    assert {name for name in named if not re.search(f'"{name}(_total)?"', ours)} == set()
    assert len(named) > 8


def test_every_rule_has_a_proof_a_remedy_and_a_line_in_the_documentation() -> None:
    rules = re.findall(r"- alert: (\w+)", RULES.read_text())
    assert len(rules) == RULES.read_text().count("remedy: ")
    page = (ROOT / "docs" / "operations.md").read_text()
    assert {rule for rule in rules if f'"{rule}"' not in PROOF.read_text() or f"`{rule}`" not in page} == set()
