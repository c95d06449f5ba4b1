"""What may be fetched, decided from the hub's listing alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.verification.listing import (
    FILES_MAX,
    ListedFile,
    check,
    check_name,
    checked_sha256,
    commit_of,
)
from consumers.verification.trouble import HubTrouble, Refusal, RepositoryRefused, Trouble
from tests.consumers.verification.hub import git_sha1


def listed(name: str, size: int = 1) -> ListedFile:
    return ListedFile(name, size, "0" * 40, None)


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "/etc/passwd", "a/../../b", "a//b", "a/", "./a"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(RepositoryRefused) as refused:
        check_name(name)
    assert refused.value.reason is Refusal.BAD_NAME


@pytest.mark.parametrize(
    "name",
    ["a\nb", "a\x00b", "a\u202eb", "a\\b", "\ud800", "x" * 201, "a/" * 300 + "b"],
    ids=["line break", "zero", "right to left", "backslash", "surrogate", "long part", "long"],
)
def test_a_harmful_name_is_refused(name: str) -> None:
    with pytest.raises(RepositoryRefused) as refused:
        check_name(name)
    assert refused.value.reason is Refusal.BAD_NAME


@given(st.text())
def test_what_is_let_through_stays_within_its_folder(name: str) -> None:
    folder = Path("/some/folder")
    try:
        check_name(name)
    except RepositoryRefused:
        return
    assert (folder / name).resolve().is_relative_to(folder)
    assert str((folder / name).relative_to(folder)) == name


@pytest.mark.parametrize(
    "name", ["policy.py", "a/b/c.safetensors", ".gitattributes", "modèle/poids 1.bin", "...", "a..b"]
)
def test_an_ordinary_name_is_let_through(name: str) -> None:
    check_name(name)


def test_as_many_bytes_and_files_as_are_allowed_may_be_fetched() -> None:
    check([listed(str(number)) for number in range(FILES_MAX)], [], bytes_max=FILES_MAX)


def test_one_byte_more_is_too_large() -> None:
    with pytest.raises(RepositoryRefused, match="too_large: the revision has 11 bytes, allowed are 10"):
        check([listed("a", 10), listed("b", 1)], [], bytes_max=10)


def test_one_file_more_is_too_many() -> None:
    with pytest.raises(RepositoryRefused, match="too_many_files"):
        check([listed(str(number)) for number in range(FILES_MAX + 1)], [], bytes_max=10**9)


def test_a_negative_size_makes_room_for_nothing() -> None:
    with pytest.raises(HubTrouble, match="without a size and a digest"):
        check([listed("a", -100), listed("b", 110)], [], bytes_max=10)


@pytest.mark.parametrize("names", [["a", "a"], ["a", "a/b"], ["a/b/c", "a/b"]])
def test_a_listing_that_no_git_repository_has_is_the_hubs(names: list[str]) -> None:
    with pytest.raises(HubTrouble, match="a file twice, or also as a folder"):
        check([listed(name) for name in names], [], bytes_max=10)


def test_a_folder_without_files_is_a_submodule() -> None:
    with pytest.raises(RepositoryRefused, match=r"not_plain: 'c': .* remove the submodule"):
        check([listed("a/b")], ["a", "c"], bytes_max=10)


def test_the_commit_is_the_only_one_that_begins_so() -> None:
    assert commit_of("abcdef01", ["abcdef02" + "0" * 32, "abcdef01" + "0" * 32]) == "abcdef01" + "0" * 32


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"12", "expected 3 bytes, got 2"), (b"124", "expected digest"), (b"123", None)],
)
def test_a_file_is_what_was_listed(tmp_path: Path, content: bytes, problem: str | None) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    file = ListedFile("file", 3, git_sha1(b"123"), None)
    if problem is None:
        assert len(checked_sha256(file, path)) == 64
        return
    with pytest.raises(HubTrouble, match=problem) as raised:
        checked_sha256(file, path)
    assert raised.value.reason is Trouble.HUB_UNTRUE
