from __future__ import annotations

import os
import subprocess
import sys

from sim.versions import PROCESS_ENVIRONMENT

PROGRAM = """
import os, sys
assert "numpy" not in sys.modules
from sim.runtime.surroundings import ensure_process_environment
before = os.getpid()
ensure_process_environment()
print(os.getpid(), *(os.environ[name] for name in sys.argv[1:]))
"""


def test_a_program_goes_on_in_the_environment_that_it_needs() -> None:
    bare = {name: value for name, value in os.environ.items() if name not in PROCESS_ENVIRONMENT}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *PROCESS_ENVIRONMENT], env=bare, stdout=subprocess.PIPE, text=True
    )
    told, _ = process.communicate(timeout=100)
    assert told.split() == [str(process.pid), *PROCESS_ENVIRONMENT.values()]
