"""The units that we ship: systemd accepts them, our command line accepts what they start, workers have time."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

import kinitro
from consumers.simulation.executor import DRAIN_S
from tests.cli.test_options import ONLY_FOR_CONTAINERS, example

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "deploy/systemd"
INSTALLED = "/opt/kinitro/.venv/bin"
UNITS = tuple(path.name.replace("@", "@8000") for path in sorted(SHIPPED.glob("*.service")))
ROLES = tuple(name for name in UNITS if name != "kinitro-nats.service")
EXPOSURE_MAX = 20
"""In tenths, of 100 without any hardening."""
EXPOSURE_WITH_SANDBOX_MAX = 50
WITH_SANDBOX = {"kinitro-executor.service", "kinitro-verifier.service"}
"""It makes namespaces and mounts."""
NOT_OPTIONS = {"HOME", "MUJOCO_GL", "PYTHONUNBUFFERED"}


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """As installed, but with the programs of this environment."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    directory = tmp_path / "system"
    shutil.copytree(SHIPPED, directory)
    for path in directory.glob("*.service"):
        path.write_text(path.read_text().replace(INSTALLED, str(Path(sys.executable).parent)))
    return directory


def analyze(units: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": f"{units}:"}
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], env=environment, capture_output=True, text=True, timeout=60
    )


def starts(unit: str) -> list[str]:
    text = (SHIPPED / unit.replace("@8000", "@")).read_text().replace("%i", "8000")
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    return str(line).split()


@pytest.mark.parametrize("unit", [*UNITS, "kinitro.target"])
def test_systemd_accepts_it(units: Path, unit: str) -> None:
    done = analyze(units, "verify", str(units / unit))
    said = [line for line in done.stderr.splitlines() if "kinitro" in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("unit", UNITS)
def test_it_may_do_little_else(units: Path, unit: str) -> None:
    worst = EXPOSURE_WITH_SANDBOX_MAX if unit in WITH_SANDBOX else EXPOSURE_MAX
    done = analyze(units, "security", "--offline=true", f"--threshold={worst}", str(units / unit))
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_only_who_has_a_sandbox_may_make_namespaces(units: Path) -> None:
    assert {unit for unit in UNITS if not is_set(units, unit, "RestrictNamespaces_user")} == WITH_SANDBOX


def is_set(units: Path, unit: str, name: str) -> bool:
    done = analyze(units, "security", "--offline=true", "--json=short", str(units / unit))
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    (row,) = (row for row in rows if row["json_field"] == name)
    return bool(row["set"])


@pytest.mark.parametrize("unit", ROLES)
def test_our_command_line_accepts_what_it_starts(unit: str) -> None:
    program, name, *arguments = starts(unit)
    assert program == f"{INSTALLED}/kinitro"
    kinitro.program.commands[name].make_context(name, arguments)


def test_every_variable_that_is_set_is_one_of_ours() -> None:
    common = (SHIPPED / "kinitro-.service.d/10-common.conf").read_text()
    names = set(re.findall(r"^Environment=(.*)$", common, re.MULTILINE)[0].split())
    assert {each.partition("=")[0] for each in names} - NOT_OPTIONS <= example().keys()


def test_workers_have_the_time_that_they_need_to_end() -> None:
    text = (SHIPPED / "kinitro-executor.service").read_text()
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    grace = composed["services"]["executor"]["stop_grace_period"].removesuffix("s")
    assert min(float(seconds), float(grace)) > DRAIN_S


def test_compose_sets_no_variable_that_nobody_reads() -> None:
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    names = {name for service in composed["services"].values() for name in service.get("environment", {})}
    assert {name for name in names if name.startswith("KINITRO")} <= example().keys() | ONLY_FOR_CONTAINERS
