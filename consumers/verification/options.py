"""From where committed repositories come, and where their code runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

import typer

from consumers.verification.fetcher import HUB, Fetcher
from consumers.verification.repository import Repositories
from events.cli import Misused
from sim.runtime.docker import ENGINE, is_address

BYTES_PER_GB = 10**9
CACHED_REPOSITORIES = 4
"""The cache has room for so many of the largest size."""
CACHE = "verification"
"""In KINITRO_HOME."""


@dataclass(frozen=True)
class CommittedCodeOptions:
    """The hub that miners commit repositories of, and the engine that runs their code."""

    hf_endpoint: Annotated[
        str, typer.Option(envvar="HF_ENDPOINT", help="URL of the hub that committed repositories are fetched from.")
    ] = HUB
    docker_host: Annotated[
        str,
        typer.Option(
            envvar="DOCKER_HOST",
            help="URL of this machine's Docker engine, whose containers committed code runs in; without one, the"
            " kernel's own sandbox.",
        ),
    ] = ENGINE

    def check(self) -> None:
        """Before anything is started.

        Raises:
            Misused: one is no URL that can be asked.
        """
        self.engine()
        self._fetcher(1)

    def engine(self) -> str:
        """The URL of the Docker engine.

        Raises:
            Misused: it is none that can be asked.
        """
        if not is_address(self.docker_host):
            raise Misused(
                f"--docker-host: expected unix:///PATH or tcp://HOST:PORT, got {self.docker_host!r}; leave it out for"
                f" {ENGINE}"
            )
        return self.docker_host

    def repositories(self, cache_dir: Path, *, size_gb_max: float) -> Repositories:
        """The repositories of this hub, kept in `cache_dir`.

        Raises:
            Misused: the hub is no URL, or nothing can be kept there.
        """
        repo_bytes_max = int(size_gb_max * BYTES_PER_GB)
        fetcher = self._fetcher(repo_bytes_max)
        try:
            cache_dir.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=cache_dir):
                pass
        except OSError as error:
            raise Misused(
                f"repositories cannot be kept in {cache_dir}: {error.strerror}; choose another directory with --home,"
                " or with --verification-cache-dir where there is this option"
            ) from error
        return Repositories(cache_dir, fetcher, cache_bytes_max=CACHED_REPOSITORIES * repo_bytes_max)

    def _fetcher(self, repo_bytes_max: int) -> Fetcher:
        try:
            return Fetcher(endpoint=self.hf_endpoint, repo_bytes_max=repo_bytes_max)
        except ValueError as error:
            raise Misused(f"--hf-endpoint, {error}") from error
