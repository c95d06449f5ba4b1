"""From where committed repositories come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from consumers.verification.fetcher import HUB, Fetcher
from consumers.verification.repository import Repositories
from events.cli import Misused

BYTES_PER_GB = 10**9
CACHED_REPOSITORIES = 4
"""The cache has room for so many of the largest size."""
CACHE = "verification"
"""In KINITRO_HOME."""


@dataclass(frozen=True)
class HubOptions:
    """The hub that miners commit repositories of."""

    hf_endpoint: Annotated[
        str, typer.Option(envvar="HF_ENDPOINT", help="URL of the hub that committed repositories are fetched from.")
    ] = HUB

    def repositories(self, cache_dir: Path, *, size_gb_max: float) -> Repositories:
        """The repositories of this hub, kept in `cache_dir`.

        Raises:
            Misused: the hub is no URL.
        """
        repo_bytes_max = int(size_gb_max * BYTES_PER_GB)
        try:
            fetcher = Fetcher(endpoint=self.hf_endpoint, repo_bytes_max=repo_bytes_max)
        except ValueError as error:
            raise Misused(f"--hf-endpoint: {error}") from error
        return Repositories(cache_dir, fetcher, cache_bytes_max=CACHED_REPOSITORIES * repo_bytes_max)
