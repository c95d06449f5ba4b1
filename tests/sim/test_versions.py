from __future__ import annotations

import subprocess
import sys

from sim.versions import versions


def test_everything_that_affects_physics_is_named() -> None:
    assert {"kinitro.sim", "python", "machine", "metaworld", "mujoco", "numpy"} <= versions().keys()
    assert versions()["mujoco"] == "3.3.0"


def test_naming_versions_loads_no_simulator() -> None:
    code = "import sys, sim.versions; sim.versions.versions(); sys.exit('mujoco' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=100).returncode == 0
