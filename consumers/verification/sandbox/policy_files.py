"""The files of a policy as its user sees them, and a policy of ours that every sandbox must be able to run."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from consumers.verification.sandbox.protocol import UnreadablePolicy

PROBE_POLICY = """
class Policy:
    def reset(self, task_config): pass
def make_policy(): return Policy()
"""


def check_readable(code_dir: Path) -> None:
    """That another user may read all of it. Raises UnreadablePolicy."""
    for directory, _, files in os.walk(code_dir):
        for path, needed in [(directory, 0o5), *((os.path.join(directory, name), 0o4) for name in files)]:
            mode = os.lstat(path).st_mode
            if not stat.S_ISLNK(mode) and mode & needed != needed:
                raise UnreadablePolicy(
                    f"{path}: mode {stat.S_IMODE(mode):o}, and the policy's user must be able to read it: chmod o+rX"
                )


def write_probe(directory: Path) -> None:
    """Makes `directory` the repository of a policy that does nothing."""
    directory.chmod(0o755)  # the policy's user is another
    policy = directory / "policy.py"
    policy.write_text(PROBE_POLICY)
    policy.chmod(0o644)
