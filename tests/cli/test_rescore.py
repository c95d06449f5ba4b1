"""`kinitro rescore --file`: no server is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Command

CYCLES = ROOT / "tests/histories/cycles"
DEMO = CYCLES / "demo.ndjson"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text('temperature = 2.0\npoints = "exponential"\n')
    return path


def test_both_results_stand_side_by_side(command: Command, rules: Path) -> None:
    answer = command("rescore", "1", "--rules", rules, "--file", DEMO, "--json")
    assert answer.status == 0, answer.err
    result = json.loads(answer.out)
    assert {it["name"]: (it["published"], it["other"]) for it in result["rules"]} == {
        "temperature": ("1.0", "2.0"),
        "points": ("linear", "exponential"),
    }
    for name in ("published", "other"):
        assert sum(miner[name]["u16"] for miner in result["miners"]) == 65_535
    assert sum(miner["difference"]["u16"] for miner in result["miners"]) == 0


def test_people_are_shown_rules_and_miners(command: Command, rules: Path) -> None:
    answer = command("rescore", "1", "--rules", rules, "--file", DEMO)
    assert answer.status == 0, answer.err
    for part in ("temperature", "exponential", "demo-expert", "0.936240", "0.736125"):
        assert part in answer.out


def test_weights_that_were_withheld_are_said_to_be(command: Command, rules: Path) -> None:
    answer = command("rescore", "1", "--rules", rules, "--file", CYCLES / "abandoned.ndjson")
    assert answer.status == 0, answer.err
    assert "under the published rules weights are withheld (cycle_abandoned)" in answer.out


@pytest.mark.parametrize(
    ("other", "tells"),
    [
        (("--nats-url", "nats://127.0.0.1:1"), "--nats-url beside --file"),
        (("--api-url", "http://127.0.0.1:1"), "name one of them"),
    ],
)
def test_a_second_source_is_refused(command: Command, rules: Path, other: tuple[str, str], tells: str) -> None:
    answer = command("rescore", "1", "--rules", rules, "--file", DEMO, *other)
    assert (answer.status, answer.out) == (2, "")
    assert tells in answer.err


@pytest.mark.parametrize(
    ("text", "tells"),
    [
        ("temprature = 2.0", "unknown rule 'temprature' = Decimal('2.0'); there are version, epsilon_factor"),
        ('temperature = "warm"', "temperature is 'warm'"),
        ("temperature = 0", "temperature is '0'"),
        ("temperature = nan", "temperature is 'NaN'"),
        ("temperature = true", "temperature is True; write a number"),
        ('points = "cubic"', "points is 'cubic'"),
        ("gap_min = 0.5", "gap_min 0.5 is above gap_max 0.10"),
        ("temperature", "not TOML"),
        ("", "names no rule"),
    ],
)
def test_a_bad_file_of_rules_is_refused(command: Command, tmp_path: Path, text: str, tells: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text)
    answer = command("rescore", "1", "--rules", path, "--file", DEMO)
    assert answer.status == 2
    assert str(path) in answer.err
    assert tells in answer.err
    assert len(answer.err.splitlines()) == 1


def test_a_cycle_that_is_not_as_published_is_refused(command: Command, rules: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered.ndjson"
    altered.write_bytes(DEMO.read_bytes().replace(b'"success":true', b'"success":false', 1))
    answer = command("rescore", "1", "--rules", rules, "--file", altered)
    assert answer.status == 2
    assert "kinitro audit cycle 1" in answer.err
