"""Our own sources, as they are installed: what an image of a worker is made of, and told from others by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("kinitro.py", "events", "producers", "consumers", "projectors", "api", "sim")
"""What the wheel has too; see pyproject.toml."""
LABEL = "kinitro.sources"
"""Of an image: the digest of what it was built from."""


def files(root: Path = ROOT) -> Iterator[Path]:
    """All source files, in order."""
    for name in PACKAGES:
        path = root / name
        inner = [path] if path.is_file() else path.rglob("*")
        yield from sorted(each for each in inner if each.is_file() and "__pycache__" not in each.parts)


def digest(root: Path = ROOT) -> str:
    """16 hexadecimal digits that are others for other sources."""
    whole = hashlib.sha256()
    for path in files(root):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return whole.hexdigest()[:16]
