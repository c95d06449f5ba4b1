"""The template of a policy server, which comes with this package.

NotEmpty    there is something where it should be written
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from events.for_people import ForPeople

FILES = ("README.md", "policy.py", "server.py", "requirements.txt", "Dockerfile")


class NotEmpty(ForPeople):
    """The directory holds something already, or is none."""


def write_template(directory: Path) -> list[Path]:
    """Writes all of `FILES` into a new or an empty directory.

    Raises:
        NotEmpty: nothing was written.
        OSError: it cannot be written.
    """
    if directory.exists() and not directory.is_dir():
        raise NotEmpty(f"{directory} is a file; name a new or an empty directory")
    if directory.is_dir() and (found := sorted(os.listdir(directory))):
        raise NotEmpty(
            f"{directory} holds {len(found)} files already, {found[0]} among them; name a new or an empty directory"
        )
    directory.mkdir(parents=True, exist_ok=True)
    template = files("consumers.miner") / "template"
    written = [directory / name for name in FILES]
    for path in written:
        path.write_bytes((template / path.name).read_bytes())
    return written
