"""Copies of committed revisions, fetched once, kept while there is room.

    cache_dir/<key>/files/...        the files, read-only         <key>: SHA-256 of repository and commit
    cache_dir/<key>/manifest.json    what they are; its age is when the copy was last used
    cache_dir/<key>.partial/...      a copy that is being fetched, or that was when somebody was killed
    cache_dir/<key>.lock             held shared by who uses the copy, alone by who fetches or removes it
    cache_dir/room.lock              held while room is made
    cache_dir/home/                  where huggingface_hub may keep what it likes to: nothing, so far

A copy appears whole, by renaming. Several processes may share a cache.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from consumers.verification.fetcher import Fetcher, Listing, SnapshotFile
from consumers.verification.listing import COMMIT
from consumers.verification.locks import held
from consumers.verification.trouble import HubTrouble, Trouble
from sim.runtime.locks import tried

MANIFEST = "manifest.json"
RESERVED = "reserved"
WAIT_S = 1_800.0
"""For somebody else who fetches the same: both of their time limits."""


@dataclass(frozen=True, slots=True)
class RepositorySnapshot:
    """All files of one commit, at `path`. Each was checked against the digest that the hub's listing has of it."""

    commit: str
    path: Path
    files: tuple[SnapshotFile, ...]
    size: int
    """In bytes, of all files."""


class Repositories:
    """A cache of snapshots. What is in use is never removed; else, the least recently used is the first to go."""

    def __init__(self, cache_dir: Path, fetcher: Fetcher, *, cache_bytes_max: int) -> None:
        """Raises ValueError if not even one repository of the allowed size has room."""
        if cache_bytes_max < fetcher.repo_bytes_max:
            raise ValueError(
                f"the cache: expected room for a repository of {fetcher.repo_bytes_max} bytes, got {cache_bytes_max}"
            )
        self._dir = cache_dir.resolve()
        self._fetcher = fetcher
        self._bytes_max = cache_bytes_max

    @asynccontextmanager
    async def snapshot(self, repo: str, revision: str) -> AsyncIterator[RepositorySnapshot]:
        """The files of exactly this revision, in use until the context is left. A cached commit asks nobody.

        Raises:
            RepositoryRefused: the miner's part.
            HubTrouble: ours, or the hub's.
        """
        self._dir.mkdir(parents=True, exist_ok=True)
        listing: Listing | None = None
        while True:
            if listing is None and not (COMMIT.fullmatch(revision) and self._manifest(repo, revision).exists()):
                listing = await self._listing(repo, revision)
            commit = listing.commit if listing else revision
            async with held(self._lock(repo, commit), shared=True, limit_s=WAIT_S):
                if snapshot := self._used(repo, commit):
                    yield snapshot
                    return
            if listing is not None:
                await self._fetch(repo, listing)

    async def _listing(self, repo: str, revision: str) -> Listing:
        return await self._fetcher.listing(repo, revision, self._home())

    async def _fetch(self, repo: str, listing: Listing) -> None:
        entry = self._entry(repo, listing.commit)
        partial = entry.with_suffix(".partial")
        async with held(self._lock(repo, listing.commit), limit_s=WAIT_S):
            if (entry / MANIFEST).exists():
                return  # somebody else was first
            try:
                await self._reserve(partial, listing.size)
                files = await self._fetcher.fetch(repo, listing, partial, self._home())
                (partial / MANIFEST).write_text(
                    json.dumps({"repo": repo, "commit": listing.commit, "files": [asdict(file) for file in files]})
                )
                await asyncio.to_thread(_sync, partial)
                partial.rename(entry)
            finally:
                await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)

    def _used(self, repo: str, commit: str) -> RepositorySnapshot | None:
        path = self._manifest(repo, commit)
        try:
            manifest = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        now_ns = time.time_ns()  # finer than the time that the kernel would set by itself
        os.utime(path, ns=(now_ns, now_ns))
        files = tuple(SnapshotFile(**file) for file in manifest["files"])
        return RepositorySnapshot(commit, path.parent / "files", files, sum(file.size for file in files))

    async def _reserve(self, partial: Path, size: int) -> None:
        """Makes room, and begins the copy.

        Raises:
            HubTrouble: what is there is in use.
        """
        async with held(self._dir / "room.lock", limit_s=WAIT_S):
            await asyncio.to_thread(self._make_room, partial, size)

    def _make_room(self, partial: Path, size: int) -> None:
        shutil.rmtree(partial, ignore_errors=True)
        sizes = {each: _size(each) for each in self._dir.iterdir() if each.is_dir() and _is_copy(each)}
        oldest_first = sorted(sizes, key=lambda each: (not each.name.endswith(".partial"), _used_ns(each)))
        for each in oldest_first:
            left_over = each.name.endswith(".partial")
            if (left_over or sum(sizes.values()) + size > self._bytes_max) and _removed(each):
                del sizes[each]
        if sum(sizes.values()) + size > self._bytes_max:
            raise HubTrouble(
                Trouble.CACHE_FULL,
                f"{size} bytes more than the {sum(sizes.values())} in use do not fit into {self._bytes_max}",
            )
        partial.mkdir()
        (partial / RESERVED).write_text(str(size))

    def _home(self) -> Path:
        home = self._dir / "home"
        home.mkdir(exist_ok=True)
        return home

    def _entry(self, repo: str, commit: str) -> Path:
        return self._dir / hashlib.sha256(f"{repo}\x00{commit}".encode()).hexdigest()

    def _manifest(self, repo: str, commit: str) -> Path:
        return self._entry(repo, commit) / MANIFEST

    def _lock(self, repo: str, commit: str) -> Path:
        return self._entry(repo, commit).with_suffix(".lock")


def _is_copy(path: Path) -> bool:
    return len(path.stem) == 64


def _size(path: Path) -> int:
    """What the copy has, or will have."""
    try:
        return int((path / RESERVED).read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _used_ns(path: Path) -> int:
    try:
        return (path / MANIFEST).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _removed(path: Path) -> bool:
    """Removes it and its lock, unless it is in use."""
    lock = path.with_suffix(".lock")
    with tried(lock) as free:
        if free:
            (path / MANIFEST).unlink(missing_ok=True)  # first: what is half removed is no copy
            shutil.rmtree(path, ignore_errors=True)
            lock.unlink(missing_ok=True)
    return free


def _sync(folder: Path) -> None:
    """To the disk, so that a power failure leaves no copy with holes."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
