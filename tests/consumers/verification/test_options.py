"""Which hub and which engine, as operators say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.verification.options import CommittedCodeOptions
from events.cli import Misused


@pytest.mark.parametrize("url", ["unix:///run/user/1000/docker.sock", "tcp://127.0.0.1:2375"])
def test_an_engine_of_this_machine_is_asked_where_it_listens(url: str) -> None:
    assert CommittedCodeOptions(docker_host=url).engine() == url


@pytest.mark.parametrize(
    "url", ["", "docker", "unix://", "unix://docker.sock", "tcp://", "tcp://host", "tcp://host:x", "ssh://host:22"]
)
def test_what_is_no_engine_that_can_be_asked_is_refused(url: str) -> None:
    with pytest.raises(Misused, match="--docker-host: expected unix:///PATH or tcp://HOST:PORT, got"):
        CommittedCodeOptions(docker_host=url).engine()


def test_a_cache_that_cannot_be_written_is_refused_before_any_check(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(
        Misused, match=f"repositories cannot be kept in {file}/cache: Not a directory; choose another"
    ):
        CommittedCodeOptions().repositories(file / "cache", size_gb_max=1.0)
