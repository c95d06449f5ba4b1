"""What a policy sees of this machine's files: the interpreter, its libraries, numpy, and what the operator adds."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
POLICY, RUNNER, PACKAGES, PYTHON = "/policy", "/runner.py", "/packages", "/python"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class View:
    """`binds`: source and target, all read-only. `links`: path and content. `hidden`: directories shown empty."""

    binds: list[tuple[str, str]]
    links: list[tuple[str, str]]
    hidden: list[str]
    command: list[str]
    environment: dict[str, str]


def view_of(code_dir: Path, extra_packages: Sequence[Path]) -> View:
    """`extra_packages`: directories as on `sys.path`, found after numpy."""
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    stdlib = os.path.realpath(sysconfig.get_path("stdlib"))
    seen_python = f"{PYTHON}/bin/python{VERSION}"
    seen_stdlib = f"{PYTHON}/{sys.platlibdir}/python{VERSION}"
    libraries = [path for path in LIBRARIES if os.path.isdir(path) and not os.path.islink(path)]
    shared = _shared_library()
    extras = {f"/operator/{n}": os.path.realpath(path) for n, path in enumerate(extra_packages)}
    return View(
        binds=[
            *((path, path) for path in (*libraries, "/etc/ld.so.cache") if os.path.exists(path)),
            *((path, f"{PYTHON}/lib/{os.path.basename(path)}") for path in shared),
            (python, seen_python),
            (stdlib, seen_stdlib),
            *((os.path.realpath(path), f"{PACKAGES}/{path.name}") for path in _numpy()),
            *((source, target) for target, source in extras.items()),
            (os.path.realpath(Path(__file__).with_name("runner.py")), RUNNER),
            (os.path.realpath(code_dir), POLICY),
        ],
        links=[(path, os.readlink(path)) for path in LIBRARIES if os.path.islink(path)],
        hidden=[f"{seen_stdlib}/site-packages"] if os.path.isdir(f"{stdlib}/site-packages") else [],
        command=[seen_python, "-I", "-S", "-B", RUNNER, POLICY, PACKAGES, *extras],
        environment={"LD_LIBRARY_PATH": f"{PYTHON}/lib"} if shared else {},
    )


def _shared_library() -> list[str]:
    """The interpreter's own, where it has one; it says only where that is on this machine."""
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        return []
    return [os.path.join(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME"))]


def _numpy() -> list[Path]:
    found = importlib.util.find_spec("numpy")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("numpy is not installed, and policies need it: install this project's requirements")
    package = Path(found.origin).parent
    return [path for path in (package, package.with_name("numpy.libs")) if path.is_dir()]
