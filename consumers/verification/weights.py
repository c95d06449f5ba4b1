"""Which files of a repository are a model's weights, as far as one can tell by name and size."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from consumers.verification.fetcher import SnapshotFile
from events.verification import FILES_MAX, WeightFile

SIZE_MIN = 1024
NO_WEIGHTS = frozenset(
    {
        *("", ".c", ".cc", ".cfg", ".cpp", ".css", ".csv", ".gif", ".h", ".html", ".ini", ".ipynb", ".jpeg", ".jpg"),
        *(".js", ".json", ".jsonl", ".lock", ".log", ".md", ".mp4", ".pdf", ".png", ".proto", ".py", ".pyc", ".pyi"),
        *(".rst", ".sh", ".svg", ".tex", ".toml", ".tsv", ".txt", ".webp", ".xml", ".yaml", ".yml"),
    }
)
"""Suffixes of text, code and pictures. A file without one is a licence or a setting, which many share."""


def weight_files(files: Iterable[SnapshotFile]) -> tuple[WeightFile, ...]:
    """The largest first, `FILES_MAX` of them at most."""
    weights = [
        file for file in files if file.size >= SIZE_MIN and PurePosixPath(file.name).suffix.lower() not in NO_WEIGHTS
    ]
    largest = sorted(weights, key=lambda file: (-file.size, file.name))[:FILES_MAX]
    return tuple(WeightFile(name=file.name[:500], size=file.size, sha256=file.sha256) for file in largest)
