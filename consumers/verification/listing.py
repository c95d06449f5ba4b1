"""What a committed revision consists of, as the hub lists it, and whether that may be fetched. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from consumers.verification.trouble import HubTrouble, Refusal, RepositoryRefused, Trouble

FILES_MAX = 1_000
NAME_BYTES_MAX = 512
PART_BYTES_MAX = 200
"""Of one folder or file in a name: file systems allow 255, and the fetcher appends to it."""
COMMIT = re.compile(r"[0-9a-f]{40}")
REVISION = re.compile(r"[0-9a-f]{8,40}")
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of a revision. One digest is always there: git's own, or Git LFS's."""

    name: str
    size: int
    git_sha1: str
    lfs_sha256: str | None


def commit_of(revision: str, commits: Iterable[str]) -> str:
    """The one commit that begins with the revision.

    Raises:
        RepositoryRefused: none does, or several do.
    """
    matching = sorted({commit for commit in commits if commit.startswith(revision)})
    if not matching:
        raise RepositoryRefused(
            Refusal.REVISION_MISSING,
            f"no commit of the main branch begins with {revision}; commit to one that does",
        )
    if len(matching) > 1:
        raise RepositoryRefused(
            Refusal.REVISION_AMBIGUOUS,
            f"{len(matching)} commits begin with {revision}, as {' and '.join(matching[:2])}; commit to more digits",
        )
    return matching[0]


def check(files: Collection[ListedFile], folders: Collection[str], bytes_max: int) -> None:
    """Whether this may be fetched: few enough plain files with harmless names, and small enough in all.

    Raises:
        RepositoryRefused: it may not.
        HubTrouble: no git repository is like this.
    """
    if not files:
        raise RepositoryRefused(Refusal.EMPTY, "the revision has no files; commit to one that has")
    if len(files) > FILES_MAX:
        raise RepositoryRefused(Refusal.TOO_MANY_FILES, f"the revision has more than the {FILES_MAX} files allowed")
    for file in files:
        check_name(file.name)
        check_digests(file)
    _check_structure([file.name for file in files], folders)
    size = sum(file.size for file in files)
    if size > bytes_max:
        raise RepositoryRefused(Refusal.TOO_LARGE, f"the revision has {size} bytes, allowed are {bytes_max}")


def check_name(name: str) -> None:
    """Raises RepositoryRefused unless a file in a folder of ours may be called so."""
    parts = name.split("/")
    harmless = name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(parts)
    if not harmless:
        raise RepositoryRefused(Refusal.BAD_NAME, f"{name[:200]!a}: not a relative path of printable characters")
    longest = max(len(part.encode(errors="replace")) for part in parts)
    if longest > PART_BYTES_MAX or len(name.encode(errors="replace")) > NAME_BYTES_MAX:
        raise RepositoryRefused(
            Refusal.BAD_NAME,
            f"{name[:200]!a}: longer than {NAME_BYTES_MAX} bytes, or {PART_BYTES_MAX} between two slashes",
        )


def check_digests(file: ListedFile) -> None:
    """Raises HubTrouble if size or digests are none."""
    sha256 = file.lfs_sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.lfs_sha256)
    if file.size < 0 or not COMMIT.fullmatch(file.git_sha1) or not sha256:
        raise HubTrouble(Trouble.HUB_UNTRUE, f"{file.name!a}: listed without a size and a digest: {file}")


def _check_structure(names: list[str], folders: Collection[str]) -> None:
    parents = {"/".join(parts[:end]) for name in names for parts in [name.split("/")] for end in range(1, len(parts))}
    if len(set(names)) < len(names) or parents & set(names):
        raise HubTrouble(Trouble.HUB_UNTRUE, "the listing has a file twice, or also as a folder")
    if others := sorted(set(folders) - parents):
        raise RepositoryRefused(
            Refusal.NOT_PLAIN, f"{others[0][:200]!a}: neither a file nor a folder with files; remove the submodule"
        )


def checked_sha256(file: ListedFile, path: Path) -> str:
    """The SHA-256 of the file at this path.

    Raises:
        HubTrouble: it is not the file that was listed, by size or digest.
    """
    size = path.stat().st_size
    if size != file.size:
        raise HubTrouble(Trouble.HUB_UNTRUE, f"{file.name}: expected {file.size} bytes, got {size}")
    sha256, git_sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\x00" % size, usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            sha256.update(chunk)
            git_sha1.update(chunk)
    expected = file.lfs_sha256 or file.git_sha1
    actual = sha256.hexdigest() if file.lfs_sha256 else git_sha1.hexdigest()
    if actual != expected:
        raise HubTrouble(Trouble.HUB_UNTRUE, f"{file.name}: expected digest {expected}, got {actual}")
    return sha256.hexdigest()
