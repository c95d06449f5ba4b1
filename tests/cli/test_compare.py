"""`kinitro compare --file`: no server is asked. For the log and the API see `tests/api/test_explain.py`."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Command
from tests.controls import facts
from tests.controls.exports import cycle_export, exported
from tests.controls.sealed_cycles import outcomes_of

DEMO = ROOT / "tests/histories/cycles/demo.ndjson"


def test_two_miners_who_differ_much_are_separable(command: Command) -> None:
    answer = command("compare", "1", "demo-noisy", "2", "--file", DEMO)
    assert (answer.status, answer.err) == (0, "")
    assert "-0.667  -0.848 to -0.344  0.002  separable, second is better" in answer.out
    assert "only demo-expert succeeds in 1.2.metaworld.push-v3.4, not in 1.1.metaworld.push-v3.4" in answer.out
    assert answer.out.rstrip().endswith("separable: demo-expert is better; 10 episodes differ")


def test_two_miners_who_differ_little_are_not_separable(command: Command) -> None:
    answer = command("compare", "1", "0", "1", "--file", DEMO)
    assert answer.out.rstrip().endswith("not separable: 4 episodes differ, which may be chance")


def test_a_miner_and_itself_do_not_differ(command: Command) -> None:
    answer = command("compare", "1", "0", "demo-random", "--file", DEMO)
    assert answer.out.rstrip().endswith("not separable: no episode differs")


def test_json_names_each_differing_episode_and_who_succeeds(command: Command, tmp_path: Path) -> None:
    packed = tmp_path / "cycle.ndjson.gz"
    packed.write_bytes(gzip.compress(DEMO.read_bytes()))
    found = json.loads(command("compare", "1", "2", "0", "--file", packed, "--json").out)
    assert (found["first"], found["second"]) == ("demo-expert", "demo-random")
    assert found["overall"]["difference"] == "14/15"
    assert len(found["differing"]) == found["differing_total"] == 14
    assert {each["succeeds"] for each in found["differing"]} == {"first"}
    assert found["next_offset"] is None


def test_an_abandoned_episode_says_nothing_about_either(command: Command, tmp_path: Path) -> None:
    plan = facts.planned(1, episodes=10)
    outcomes = outcomes_of(plan)
    file = tmp_path / "cycle.ndjson"
    file.write_bytes(b"".join(exported(cycle_export(plan, [facts.abandoned(outcomes[0].key), *outcomes[1:]]))))
    answer = command("compare", "1", "0", "1", "--file", file)
    assert "19 episodes differ; 1 episodes count for nobody" in answer.out


@pytest.mark.parametrize(
    ("arguments", "tells"),
    [
        (("2", "0", "1", "--file", DEMO), "there is nothing of cycle 2 here"),
        (("1", "0", "nobody", "--file", DEMO), "cycle 1 has no miner 'nobody'"),
        (("1", "0", "1", "--file", ROOT / "README.md"), "line 1: expected a CloudEvents document"),
        (("1", "0", "1", "--file", "absent"), "absent: No such file"),
        (("1", "0", "1", "--file", DEMO, "--nats-url", "nats://127.0.0.1:1"), "--nats-url beside --file"),
        (("1", "0", "1", "--file", DEMO, "--api-url", "http://127.0.0.1:1"), "name one of them"),
        (("1", "0", "1", "--api-url", "http://127.0.0.1:1"), "is --api-url right?"),
    ],
)
def test_what_cannot_be_compared_is_status_2(command: Command, arguments: tuple[str | Path, ...], tells: str) -> None:
    answer = command("compare", *arguments)
    assert (answer.status, answer.out) == (2, "")
    assert tells in answer.err


def test_a_cycle_that_is_being_run_is_not_compared_yet(command: Command, tmp_path: Path) -> None:
    plan = facts.planned(1)
    file = tmp_path / "cycle.ndjson"
    file.write_bytes(b"".join(exported(cycle_export(plan, outcomes_of(plan), signed=False)[:-2])))
    answer = command("compare", "1", "0", "1", "--file", file)
    assert answer.status == 2
    assert "cycle 1 has not ended" in answer.err
