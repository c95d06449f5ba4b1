"""Every option has the documented default and variable, and `.env.example` lists them all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kinitro
import producers.options
import sim.suite
from events.mounting import Mounted
from events.permissions import OPERATOR, ROLES, password_variable
from events.variation import PRESETS, STANDARD, VariationRanges
from tests.cli.conftest import ROOT, Command

DOCUMENTED = {
    "KINITRO_BACKEND_HOST": ("--host", "0.0.0.0"),
    "KINITRO_BACKEND_PORT": ("--port", "8000"),
    "KINITRO_BACKEND_DATABASE_URL": ("--database-url", ""),
    "KINITRO_BACKEND_NATS_URL": ("--nats-url", ""),
    "KINITRO_BACKEND_NETWORK": ("--network", "finney"),
    "KINITRO_BACKEND_NETUID": ("--netuid", ""),
    "KINITRO_BACKEND_EVAL_INTERVAL_SECONDS": ("--eval-interval", "3600"),
    "KINITRO_BACKEND_EPISODES_PER_ENV": ("--episodes-per-env", "50"),
    "KINITRO_BACKEND_LOG_LEVEL": ("--log-level", "INFO"),
    "KINITRO_BACKEND_ACTION_TIMEOUT_MS": ("--action-timeout-ms", "100"),
    "KINITRO_BACKEND_MAX_TIMESTEPS_PER_EPISODE": ("--max-timesteps", "500"),
    "KINITRO_BACKEND_PARETO_TEMPERATURE": ("--pareto-temperature", "1.0"),
}
"""The operators' guide."""

ONLY_FOR_CONTAINERS = {"POSTGRES_PASSWORD", *map(password_variable, (OPERATOR, *ROLES))}


def test_options_are_as_in_the_operators_guide() -> None:
    found = {(variable, name, default) for variable, name, default in options() if variable in DOCUMENTED}
    assert found == {(variable, *expected) for variable, expected in DOCUMENTED.items()}


def test_the_example_lists_every_variable_with_its_default() -> None:
    assert example() == {variable: default for variable, _, default in options()}


def test_the_default_environments_are_those_of_the_simulator() -> None:
    assert producers.options.DEFAULT_ENVIRONMENTS.split(",") == list(sim.suite.DEFAULT_ENVIRONMENTS)


@pytest.mark.parametrize("ranges", PRESETS.values(), ids=lambda ranges: ranges.name)
def test_a_plan_has_the_ranges_of_the_variation_that_was_named(ranges: VariationRanges) -> None:
    assert producers.options.CycleOptions(variation=ranges.name).terms().variation == ranges


def test_a_plan_has_the_standard_variation_unless_told_otherwise() -> None:
    assert producers.options.CycleOptions().terms().variation == STANDARD


def test_a_file_of_variables_in_the_working_directory_is_read(command: Command, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KINITRO_BACKEND_NATS_URL=from-the-file\n")
    assert "from-the-file" in command("cycle", "list").err


def test_a_variable_wins_over_the_file(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("KINITRO_BACKEND_NATS_URL=from-the-file\n")
    monkeypatch.setitem(os.environ, "KINITRO_BACKEND_NATS_URL", "from-a-variable")
    assert "from-a-variable" in command("cycle", "list").err


def test_an_option_wins_over_a_variable(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "KINITRO_BACKEND_NATS_URL", "from-a-variable")
    assert "from-an-option" in command("cycle", "list", "--nats-url", "from-an-option").err


def options() -> Iterator[tuple[str, str, str]]:
    """Variable, option and default of every option that has a variable, of every command."""
    return _options(kinitro.program)


def _options(command: Any) -> Iterator[tuple[str, str, str]]:
    for parameter in command.params:
        if parameter.envvar:
            default = parameter.default
            yield parameter.envvar, parameter.opts[0], "" if default is None else str(default)
    for inner in getattr(command, "commands", {}).values():
        yield from _options(inner.load() if isinstance(inner, Mounted) else inner)


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    pairs = (match.groups() for line in lines if (match := re.fullmatch(r"#?([A-Z_]+)=(.*)", line)))
    return {name: value for name, value in pairs if name not in ONLY_FOR_CONTAINERS}
