"""`kinitro audit cycle --file`: no server is asked."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from tests.cli.conftest import ROOT, Command
from tests.controls.exports import OTHER_KEY, key_of

TRUE = ROOT / "tests/histories/cycles/two-miners.ndjson"


def test_a_true_cycle_ends_in_identical(command: Command) -> None:
    answer = command("audit", "cycle", "1", "--file", TRUE)
    assert answer.status == 0
    assert answer.out.rstrip().endswith("identical")


def test_a_compressed_file_is_read_as_well(command: Command, tmp_path: Path) -> None:
    packed = tmp_path / "cycle.ndjson.gz"
    packed.write_bytes(gzip.compress(TRUE.read_bytes()))
    assert command("audit", "cycle", "1", "--file", packed).status == 0


def test_a_difference_is_status_1_and_named_with_both_values(command: Command, tmp_path: Path) -> None:
    altered = tmp_path / "altered.ndjson"
    altered.write_bytes(TRUE.read_bytes().replace(b'"worker":"worker-1"', b'"worker":"worker-2"', 1))
    answer = command("audit", "cycle", "1", "--file", altered, "--json")
    assert answer.status == 1
    first = next(check for check in json.loads(answer.out)["checks"] if check["same"] is False)
    assert first["name"] == "export"
    assert first["difference"]["expected"] != first["difference"]["found"]


def test_another_key_is_a_difference(command: Command) -> None:
    answer = command("audit", "cycle", "1", "--file", TRUE, "--key", key_of(OTHER_KEY))
    assert answer.status == 1
    assert "\nsignature: line " in answer.out


def test_what_cannot_be_audited_is_status_2(command: Command, tmp_path: Path) -> None:
    for arguments, tells in (
        (("--file", tmp_path / "absent"), "cannot be read"),
        (("--file", TRUE, "--episodes", "3"), "a file has no recordings"),
        (("--file", TRUE, "--episodes", "some"), "expected a number or all"),
    ):
        answer = command("audit", "cycle", "1", *arguments)
        assert answer.status == 2
        assert tells in answer.err
