"""The lock pins everything that `pyproject.toml` asks for, with hashes, and names no index."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from consumers.miner.template_files import FILES as TEMPLATE_FILES

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


def locked() -> dict[str, list[Version]]:
    """Versions by name; a name has several where markers choose between them."""
    versions: dict[str, list[Version]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", LOCK, re.MULTILINE):
        versions.setdefault(canonicalize_name(name), []).append(Version(version))
    return versions


@pytest.mark.parametrize("line", [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]])
def test_the_lock_satisfies(line: str) -> None:
    requirement = Requirement(line)
    versions = locked().get(canonicalize_name(requirement.name), [])
    assert versions, f"{requirement.name} is not in requirements.lock: run `make lock`"
    assert all(requirement.specifier.contains(version) for version in versions)


def test_every_pin_has_hashes() -> None:
    pins = re.split(r"\n(?=[A-Za-z0-9])", LOCK)
    assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_the_lock_names_no_address() -> None:
    assert re.findall(r"https?:|--index|--extra|--find-links|--trusted", LOCK) == []
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
