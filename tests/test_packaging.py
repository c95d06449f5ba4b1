"""The locks pin everything that `pyproject.toml` asks for, with hashes, and name no index."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from consumers.miner.template_files import FILES as TEMPLATE_FILES
from tests.test_imports import FILES, OURS, imports

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNNING, DEVELOPING = "requirements.lock", "requirements-dev.lock"
"""What images hold, and what checks and tests need besides."""
_GROUPS = PROJECT["dependency-groups"]
WANTED = {
    RUNNING: [*PROJECT["project"]["dependencies"], *_GROUPS["build"]],
    DEVELOPING: [*PROJECT["project"]["dependencies"], *(it for it in _GROUPS["dev"] if isinstance(it, str))],
}
IN_NO_PACKAGE = {"policy"}
"""A miner's own file."""


def locked(lock: str) -> dict[str, list[Version]]:
    """Versions by name; a name has several where markers choose between them."""
    versions: dict[str, list[Version]] = {}
    pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    for name, version in pins:
        versions.setdefault(canonicalize_name(name), []).append(Version(version))
    return versions


@pytest.mark.parametrize(("lock", "line"), [(lock, line) for lock, lines in WANTED.items() for line in lines])
def test_the_lock_satisfies(lock: str, line: str) -> None:
    requirement = Requirement(line)
    versions = locked(lock).get(canonicalize_name(requirement.name), [])
    assert versions, f"{requirement.name} is not in {lock}: run `make lock`"
    assert all(requirement.specifier.contains(version) for version in versions)


def test_what_runs_is_what_was_tested() -> None:
    developing = locked(DEVELOPING)
    assert {name: developing.get(name) for name in locked(RUNNING)} == locked(RUNNING)


def test_what_runs_needs_nothing_of_development() -> None:
    running, providers = locked(RUNNING), packages_distributions()
    outside = {
        name.partition(".")[0] for path in (*FILES, ROOT / "kinitro.py") for _, name in imports(path.read_text(), "")
    }
    outside -= OURS | IN_NO_PACKAGE | set(sys.stdlib_module_names)
    assert "nats" in outside
    lacking = {
        name for name in outside if not {canonicalize_name(it) for it in providers.get(name, ())} & running.keys()
    }
    assert lacking == set()


@pytest.mark.parametrize("lock", WANTED)
def test_every_pin_has_hashes(lock: str) -> None:
    pins = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / lock).read_text())
    assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []


@pytest.mark.parametrize("lock", WANTED)
def test_the_lock_names_no_address(lock: str) -> None:
    assert re.findall(r"https?:|--index|--extra|--find-links|--trusted", (ROOT / lock).read_text()) == []
    assert not (ROOT / "uv.lock").exists()


def test_every_package_is_in_the_distribution() -> None:
    included = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"])
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages | {"kinitro.py"} == included


def test_a_built_wheel_contains_every_model_and_the_template(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    [wheel] = tmp_path.glob("*.whl")
    models = {path.relative_to(ROOT).as_posix() for path in (ROOT / "sim").rglob("*.xml")}
    assert models, "there are models beside the tasks"
    template = {f"consumers/miner/template/{name}" for name in TEMPLATE_FILES}
    assert models | template <= set(zipfile.ZipFile(wheel).namelist())
