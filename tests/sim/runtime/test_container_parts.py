"""What is decided about containers without an engine: limits, configuration, adoption, lines of a log."""

from __future__ import annotations

import io
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.runtime.container_configuration import (
    CHILD,
    OWNER,
    SETTINGS,
    Found,
    Place,
    Probe,
    Wanted,
    adoptable,
    configuration,
    name_of,
)
from sim.runtime.container_limits import ContainerLimits, device_requests, memory_bytes
from sim.runtime.container_log import LINE_MAX, Lines
from sim.runtime.docker import is_address
from sim.runtime.sources import PACKAGES, ROOT, digest

GIB = 2**30
PLACE = Place("0123456789abcdef", "sha256:1", 10001, 10001, ContainerLimits(8 * GIB, 2.0, 256), 4)
WANTED = Wanted("worker 1", ("worker", "--name", "here-1"), {"B": "2", "A": "1"})


# Limits


@pytest.mark.parametrize("text", ["8g", "8G", "8Gi", "8gb", "8GB", "8GiB", " 8 g ", "8192m", "8192Mi", str(8 * GIB)])
def test_memory_is_read_as_operators_write_it(text: str) -> None:
    assert memory_bytes(text) == 8 * GIB


@pytest.mark.parametrize("text", ["", "8x", "g", "-8g", "8 g g", "1e9", "8gigabytes", "٨g", "inf"])
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 8g, 8Gi or 512m, got"):
        memory_bytes(text)


@pytest.mark.parametrize("text", ["8", "0g", "255m"])
def test_less_memory_than_a_worker_needs_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at least 256m"):
        memory_bytes(text)


@pytest.mark.parametrize(
    ("text", "asked"),
    [("all", {"Count": -1}), ("2", {"Count": 2}), ("GPU-1,GPU-2", {"DeviceIDs": ["GPU-1", "GPU-2"]})],
)
def test_gpus_are_asked_for_as_the_engine_wants_it(text: str, asked: dict[str, Any]) -> None:
    assert device_requests(text) == [{"Driver": "", "Capabilities": [["gpu"]], **asked}]


def test_no_gpus_are_no_request() -> None:
    assert device_requests(None) == []


@pytest.mark.parametrize("text", ["", "0", "-1", "a b", "GPU-1,"])
def test_what_names_no_gpus_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="identifiers separated by commas"):
        device_requests(text)


@pytest.mark.parametrize(
    ("url", "valid"),
    [
        ("unix:///run/docker.sock", True),
        ("tcp://127.0.0.1:2375", True),
        ("tcp://127.0.0.1", False),
        ("unix://docker.sock", False),
        ("http://127.0.0.1:1", False),
        ("tcp://[:1", False),
    ],
)
def test_an_engine_is_named_by_a_path_or_by_host_and_port(url: str, valid: bool) -> None:
    assert is_address(url) == valid


# Configuration


def test_a_container_can_do_no_more_than_it_must() -> None:
    body = configuration(PLACE, WANTED)
    host = body["HostConfig"]
    assert body["User"] == "10001:10001"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert not host["Privileged"]
    assert host["Mounts"] == host["DeviceRequests"] == []
    assert set(host["Tmpfs"]) == {"/tmp", "/run/kinitro"}


def test_a_container_has_its_limits() -> None:
    host = configuration(PLACE, WANTED)["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 8 * GIB
    assert host["PidsLimit"] == 256
    assert host["NanoCpus"] == 2_000_000_000


def test_a_machine_with_fewer_cores_gives_those_it_has() -> None:
    host = configuration(replace(PLACE, cores=1), WANTED)["HostConfig"]
    assert host["NanoCpus"] == 1_000_000_000


def test_files_that_settings_name_can_be_read_inside_and_not_written() -> None:
    body = configuration(PLACE, replace(WANTED, files=(Path("/etc/kinitro/ca.pem"),)))
    assert body["HostConfig"]["Mounts"] == [
        {"Type": "bind", "Source": "/etc/kinitro/ca.pem", "Target": "/etc/kinitro/ca.pem", "ReadOnly": True}
    ]


def test_sockets_are_shared_where_somebody_asks() -> None:
    host = configuration(PLACE, replace(WANTED, shared=Path("/home/1")))["HostConfig"]
    assert [(mount["Source"], mount["Target"]) for mount in host["Mounts"]] == [("/home/1", "/run/kinitro")]
    assert set(host["Tmpfs"]) == {"/tmp"}


def test_a_probe_is_the_engines_to_run() -> None:
    health = configuration(PLACE, replace(WANTED, probe=Probe("pass", every_s=3)))["Healthcheck"]
    assert health["Test"] == ["CMD", "python", "-c", "pass"]
    assert health["Interval"] == 3_000_000_000


def test_containers_of_two_homes_have_different_names() -> None:
    assert name_of(PLACE, "worker 1") == "kinitro-0123456789ab-worker-1"
    assert name_of(replace(PLACE, owner="fedcba9876543210"), "worker 1") != name_of(PLACE, "worker 1")


# Adoption


def found(body: dict[str, Any], *, running: bool = True, identifier: str = "c1") -> Found:
    return Found(identifier, body["Labels"], running)


def test_what_runs_as_wanted_is_adopted() -> None:
    body = configuration(PLACE, WANTED)
    assert adoptable([found(body)], [body]) == {"worker 1": "c1"}


def test_the_order_of_variables_is_no_difference() -> None:
    body = configuration(PLACE, WANTED)
    again = configuration(PLACE, replace(WANTED, environment={"A": "1", "B": "2"}))
    assert adoptable([found(body)], [again]) == {"worker 1": "c1"}


def test_what_has_ended_is_not_adopted() -> None:
    body = configuration(PLACE, WANTED)
    assert adoptable([found(body, running=False)], [body]) == {}


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        (replace(PLACE, image="sha256:2"), WANTED),
        (replace(PLACE, limits=replace(PLACE.limits, memory_bytes=4 * GIB)), WANTED),
        (replace(PLACE, user=1000), WANTED),
        (PLACE, replace(WANTED, environment={"A": "1", "B": "3"})),
        (PLACE, replace(WANTED, command=("worker", "--name", "there-1"))),
        (PLACE, replace(WANTED, shared=Path("/home/1"))),
        (PLACE, replace(WANTED, child="worker 2")),
    ],
    ids=["image", "memory", "user", "settings", "name", "sockets", "number"],
)
def test_what_runs_otherwise_is_not_adopted(place: Place, wanted: Wanted) -> None:
    assert adoptable([found(configuration(place, wanted))], [configuration(PLACE, WANTED)]) == {}


def test_a_container_without_our_labels_is_not_adopted() -> None:
    strange = Found("c1", {OWNER: PLACE.owner}, running=True)
    assert {CHILD, SETTINGS}.isdisjoint(strange.labels)
    assert adoptable([strange], [configuration(PLACE, WANTED)]) == {}


# Lines


def said(*pieces: str) -> str:
    out = io.StringIO()
    lines = Lines("worker 1", out)
    for piece in pieces:
        lines.take(piece)
    lines.end()
    return out.getvalue()


def test_each_line_tells_who_said_it() -> None:
    assert said("one\ntwo\n") == "worker 1: one\nworker 1: two\n"


def test_a_structured_line_stays_one() -> None:
    assert said('{"event": "worker started"}\n') == '{"event": "worker started"}\n'


@given(st.text(alphabet="ab\n", max_size=40), st.data())
def test_how_the_engine_cuts_what_was_said_makes_no_difference(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert said(*pieces) == said(text)


def test_an_endless_line_is_cut() -> None:
    assert len(said(*["a" * 5_000] * 100)) <= len("worker 1: ") + LINE_MAX + 1


def test_the_last_words_are_the_last_lines() -> None:
    lines = Lines("worker 1", io.StringIO())
    lines.take("a\nb\n\nc\nd\n")
    assert lines.last_words == "c / d"


# Sources


def test_other_sources_have_another_digest(tmp_path: Path) -> None:
    (tmp_path / "sim").mkdir()
    (tmp_path / "sim" / "a.py").write_text("1")
    before = digest(tmp_path)
    (tmp_path / "sim" / "a.py").write_text("2")
    assert digest(tmp_path) != before


def test_compiled_files_are_no_sources(tmp_path: Path) -> None:
    (tmp_path / "sim" / "__pycache__").mkdir(parents=True)
    (tmp_path / "sim" / "a.py").write_text("1")
    before = digest(tmp_path)
    (tmp_path / "sim" / "__pycache__" / "a.pyc").write_text("2")
    assert digest(tmp_path) == before


def test_the_sources_are_those_of_the_wheel() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert list(PACKAGES) == wheel["only-include"]
