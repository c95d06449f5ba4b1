"""Logs of a process that is not at a terminal: one JSON object a line, without secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from events.logging import LogLevel, configure


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_logged_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogLevel.INFO)
    secret = "-".join(("not", "for", "logs"))
    try:
        int(secret[:3])
    except ValueError:
        structlog.get_logger("test").exception("refused")
    line = capsys.readouterr().err
    assert json.loads(line)["exception"][0]["exc_type"] == "ValueError"
    assert secret not in line


def test_libraries_are_logged_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogLevel.INFO)
    logging.getLogger("some.library").warning("%d things", 3)
    told = json.loads(capsys.readouterr().err)
    assert (told["event"], told["level"], told["logger"]) == ("3 things", "warning", "some.library")


def test_what_is_below_the_level_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogLevel.WARNING)
    structlog.get_logger("test").info("nothing new")
    assert capsys.readouterr().err == ""
