"""Which hub and which engine, as operators say it."""

from __future__ import annotations

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
