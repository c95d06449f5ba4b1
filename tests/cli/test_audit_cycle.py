"""`kinitro audit cycle --file`, and wrong sources. For real servers see `tests/consumers/audit`."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.cli.conftest import ROOT, Command
from tests.controls.exports import OTHER_KEY, key_of

TRUE = ROOT / "tests/histories/cycles/two-miners.ndjson"


def test_a_true_cycle_ends_in_identical(command: Command) -> None:
    answer = command("audit", "cycle", "1", "--file", TRUE)
    assert answer.status == 0
    assert answer.out.rstrip().endswith("identical")


def test_a_variable_that_names_the_log_does_not_matter_where_a_file_is_named(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINITRO_BACKEND_NATS_URL", "nats://127.0.0.1:1")
    assert command("audit", "cycle", "1", "--file", TRUE).status == 0


def test_a_compressed_file_is_read_as_well(command: Command, tmp_path: Path) -> None:
    packed = tmp_path / "cycle.ndjson.gz"
    packed.write_bytes(gzip.compress(TRUE.read_bytes()))
    assert command("audit", "cycle", "1", "--file", packed).status == 0


def test_a_compressed_file_that_was_cut_off_is_told(command: Command, tmp_path: Path) -> None:
    packed = tmp_path / "cycle.ndjson.gz"
    packed.write_bytes(gzip.compress(TRUE.read_bytes())[:-100])
    answer = command("audit", "cycle", "1", "--file", packed)
    assert (answer.status, answer.out) == (2, "")
    assert "cannot be read: Compressed file ended" in answer.err


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


def test_a_file_that_was_cut_off_is_a_difference(command: Command, tmp_path: Path) -> None:
    cut = tmp_path / "cut.ndjson"
    for size in (len(TRUE.read_bytes()) - 1_000, 100_000 % len(TRUE.read_bytes())):
        cut.write_bytes(TRUE.read_bytes()[:size])
        answer = command("audit", "cycle", "1", "--file", cut)
        assert answer.status == 1
        assert "export: the last line: expected a trailer, found the end of the file" in answer.out


@pytest.mark.parametrize(
    ("arguments", "tells"),
    [
        (("1", "--file", "absent"), "cannot be read"),
        (("1", "--file", "."), "cannot be read"),
        (("1", "--file", TRUE, "--episodes", "3"), "a file has no recordings"),
        (("1", "--file", TRUE, "--nats-url", "nats://127.0.0.1:1"), "--nats-url beside --file"),
        (("1", "--api-url", "http://127.0.0.1:1", "--nats-url", "nats://127.0.0.1:1"), "--nats-url beside --api-url"),
        (("1", "--file", TRUE, "--api-url", "http://127.0.0.1:1", "--episodes", "0"), "--episodes 0 wants none"),
        (("1", "--file", TRUE, "--episodes", "some"), "expected a number or all"),
        (("1", "--file", TRUE, "--key", "somebody"), "--key somebody: expected an address in SS58"),
        (("7", "--file", TRUE), "these are events of cycle 1, and none of cycle 7"),
        (("1", "--file", ROOT / "README.md"), "lines without an event or a trailer"),
        (("1", "--file", os.devnull), "found 0 lines without an event or a trailer"),
        (("1", "--api-url", "http://127.0.0.1:1"), "is --api-url right?"),
        (("1", "--api-url", "nonsense"), "is --api-url right?"),
        (("0", "--file", TRUE), "should be greater than or equal to 1"),
        (("one", "--file", TRUE), "should be a valid integer"),
    ],
)
def test_what_cannot_be_audited_is_status_2(command: Command, arguments: tuple[str | Path, ...], tells: str) -> None:
    answer = command("audit", "cycle", *arguments)
    assert (answer.status, answer.out) == (2, "")
    assert tells in answer.err


def test_a_page_of_another_server_is_no_export(command: Command) -> None:
    with a_web_site() as url:
        answer = command("audit", "cycle", "1", "--api-url", url)
    assert (answer.status, answer.out) == (2, "")
    assert "expected an export of cycle 1, found 2 lines without an event or a trailer" in answer.err


@contextmanager
def a_web_site() -> Iterator[str]:
    """Answers everything with a page."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<!doctype html>\n<title>Welcome</title>\n")

    def log_message(self, *_: object) -> None:
        pass
