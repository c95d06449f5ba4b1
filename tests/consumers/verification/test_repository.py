"""Committed revisions, fetched from a hub over HTTP that may be honest, broken or hostile, into a cache."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from consumers.verification.fetcher import ATTEMPTS_MAX, Fetcher
from consumers.verification.repository import Repositories, RepositorySnapshot
from consumers.verification.trouble import HubTrouble, NoSnapshot, Refusal, RepositoryRefused, Trouble
from tests.consumers.verification.hub import (
    Handler,
    Hub,
    Revision,
    answering,
    commit_id,
    cut_after,
    dripping,
    endless,
    refused,
    sending,
)

REPO = "miner/policy"
COMMIT = commit_id("first")
WEIGHTS = bytes(range(256)) * 400
FILES = {"policy.py": b"def act(): ...\n", "model/weights.bin": WEIGHTS, "README.md": b""}
REPO_BYTES_MAX = 200_000


@pytest_asyncio.fixture
async def hub() -> AsyncIterator[Hub]:
    async with Hub() as hub:
        hub.add(REPO, Revision(COMMIT, dict(FILES), large=frozenset({"model/weights.bin"})))
        yield hub


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "cache"
    assert not list(tmp_path.glob("cache/*.partial"))
    assert not list(tmp_path.glob("cache/home/*"))


def repositories(hub: Hub, cache: Path, *, limit_s: float = 60.0, room: int = REPO_BYTES_MAX) -> Repositories:
    fetcher = Fetcher(endpoint=hub.url, repo_bytes_max=REPO_BYTES_MAX, limit_s=limit_s, pause_s=0.01)
    return Repositories(cache, fetcher, cache_bytes_max=room)


async def fetched(source: Repositories, revision: str = COMMIT, repo: str = REPO) -> RepositorySnapshot:
    async with source.snapshot(repo, revision) as snapshot:
        return snapshot


async def trouble(source: Repositories, revision: str = COMMIT, repo: str = REPO) -> Refusal | Trouble:
    with pytest.raises(NoSnapshot) as raised:
        await fetched(source, revision, repo)
    assert isinstance(raised.value, RepositoryRefused | HubTrouble)
    return raised.value.reason


async def test_a_snapshot_is_all_files_of_the_commit_with_their_digests(hub: Hub, cache: Path) -> None:
    snapshot = await fetched(repositories(hub, cache))
    assert snapshot.commit == COMMIT
    assert snapshot.size == sum(map(len, FILES.values()))
    assert {file.name: file.sha256 for file in snapshot.files} == {
        name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()
    }
    found = {str(path.relative_to(snapshot.path)): path for path in snapshot.path.rglob("*") if not path.is_dir()}
    assert {name: path.read_bytes() for name, path in found.items()} == FILES
    assert not any(path.is_symlink() or os.access(path, os.X_OK) for path in found.values())


async def test_no_token_and_no_telemetry_is_sent(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    await fetched(repositories(hub, cache))
    assert not [request for request in hub.requests if "Authorization" in request.headers]
    assert {request.path.split("/")[1] for request in hub.requests} == {"api", "miner", "store"}


async def test_a_short_revision_is_found_among_the_commits(hub: Hub, cache: Path) -> None:
    for number in range(7):  # more than a page, all newer
        hub.add(REPO, Revision(commit_id(str(number)), {"other": b""}))
    assert (await fetched(repositories(hub, cache), COMMIT[:8])).commit == COMMIT


async def test_a_cached_commit_asks_nobody(hub: Hub, cache: Path) -> None:
    await fetched(repositories(hub, cache))
    hub.fault("/", answering(500))
    assert (await fetched(repositories(hub, cache))).commit == COMMIT


async def test_checks_at_the_same_time_download_once(hub: Hub, cache: Path) -> None:
    several = [repositories(hub, cache) for _ in range(3)]
    await asyncio.gather(*(fetched(each) for each in several))
    assert hub.asked("/store/") == 1


async def test_an_ambiguous_revision_is_the_miners(hub: Hub, cache: Path) -> None:
    hub.add(REPO, Revision(COMMIT[:8] + "0" * 32, {"a": b""}))
    assert await trouble(repositories(hub, cache), COMMIT[:8]) is Refusal.REVISION_AMBIGUOUS


async def test_a_history_too_long_to_look_through_is_the_miners(hub: Hub, cache: Path) -> None:
    """Else whoever commits often enough would never be checked."""

    async def page(_request: web.Request) -> web.StreamResponse:
        link = f'<{hub.url}/api/models/{REPO}/commits/main?p=1>; rel="next"'
        return web.json_response([], headers={"Link": link})

    hub.fault("/commits/", page)
    assert await trouble(repositories(hub, cache), COMMIT[:8]) is Refusal.TOO_MANY_COMMITS


@pytest.mark.parametrize("revision", ["0" * 40, "0" * 8, "main", "../../x", "ABCDEF12", "1234567"])
async def test_an_unknown_revision_is_the_miners(hub: Hub, cache: Path, revision: str) -> None:
    assert await trouble(repositories(hub, cache), revision) is Refusal.REVISION_MISSING


@pytest.mark.parametrize("repo", ["miner/other", "miner/..", "a/b/c", "-x"])
async def test_a_missing_repository_is_the_miners(hub: Hub, cache: Path, repo: str) -> None:
    assert await trouble(repositories(hub, cache), repo=repo) is Refusal.REPOSITORY_MISSING


@pytest.mark.parametrize("code", ["GatedRepo", "other"])
@pytest.mark.parametrize("part", ["/tree/", "/resolve/"])
async def test_a_repository_not_for_everybody_is_the_miners(hub: Hub, cache: Path, code: str, part: str) -> None:
    async def gated(_request: web.Request) -> web.StreamResponse:
        return refused(403, code)

    hub.fault(part, gated)
    assert await trouble(repositories(hub, cache)) is Refusal.NO_ACCESS


async def test_a_repository_that_is_too_large_is_refused_before_a_file_is_fetched(hub: Hub, cache: Path) -> None:
    large = hub.add(REPO, Revision(commit_id("large"), {"a": bytes(REPO_BYTES_MAX), "b": b"1"}))
    assert await trouble(repositories(hub, cache), large.commit) is Refusal.TOO_LARGE
    assert hub.asked("/resolve/") + hub.asked("/resolve/", "HEAD") == 0


@pytest.mark.parametrize("name", ["../up", "/etc/passwd"])
async def test_a_harmful_name_is_refused(hub: Hub, cache: Path, name: str) -> None:
    bad = hub.add(REPO, Revision(commit_id("bad"), {name: b"x"}))
    assert await trouble(repositories(hub, cache), bad.commit) is Refusal.BAD_NAME


async def test_the_librarys_own_notes_are_files_like_any_other(hub: Hub, cache: Path) -> None:
    files = {
        ".cache/huggingface/download/a.metadata": f"{COMMIT}\nx\n1\n".encode(),
        "a": b"true",
        "manifest.json": b"{}",
    }
    sly = hub.add(REPO, Revision(commit_id("sly"), files))
    snapshot = await fetched(repositories(hub, cache), sly.commit)
    assert {name: (snapshot.path / name).read_bytes() for name in files} == files


@pytest.mark.parametrize("kind", ["commit", "symlink"])
async def test_a_submodule_is_refused(hub: Hub, cache: Path, kind: str) -> None:
    other: dict[str, object] = {"type": kind, "path": "module", "oid": "1" * 40, "size": 0}
    bad = hub.add(REPO, Revision(commit_id("bad"), {"a": b"x"}, others=[other]))
    assert await trouble(repositories(hub, cache), bad.commit) is Refusal.NOT_PLAIN


async def test_too_many_files_are_refused(hub: Hub, cache: Path) -> None:
    async def many(_request: web.Request) -> web.StreamResponse:
        return web.json_response(entries)

    entries = [{"type": "file", "path": f"{number}", "size": 1, "oid": "0" * 40} for number in range(1001)]
    hub.fault("/tree/", many, 1)
    assert await trouble(repositories(hub, cache)) is Refusal.TOO_MANY_FILES


async def test_an_empty_revision_is_refused(hub: Hub, cache: Path) -> None:
    empty = hub.add(REPO, Revision(commit_id("empty"), {}))
    assert await trouble(repositories(hub, cache), empty.commit) is Refusal.EMPTY


@pytest.mark.parametrize("part", ["/tree/", "/resolve/", "/store/"])
@pytest.mark.parametrize(
    "fault",
    [answering(500), answering(503), answering(429, Retry_After="0"), cut_after(WEIGHTS, 1000)],
    ids=["500", "503", "429", "cut"],
)
async def test_a_passing_trouble_passes(hub: Hub, cache: Path, part: str, fault: Handler) -> None:
    hub.fault(part, fault, 1)
    assert (await fetched(repositories(hub, cache))).size == sum(map(len, FILES.values()))


@pytest.mark.parametrize("part", ["/tree/", "/resolve/", "/store/"])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [(answering(500), Trouble.HUB_AWAY), (answering(429), Trouble.RATE_LIMITED)],
    ids=["500", "429"],
)
async def test_a_lasting_trouble_is_the_hubs(
    hub: Hub, cache: Path, part: str, fault: Handler, reason: Trouble
) -> None:
    hub.fault(part, fault)
    assert await trouble(repositories(hub, cache)) is reason


@pytest.mark.parametrize(
    ("part", "answer"), [("/resolve/", answering(404, X_Error_Code="EntryNotFound")), ("/store/", answering(404))]
)
async def test_content_that_its_owner_has_deleted_is_the_miners(
    hub: Hub, cache: Path, part: str, answer: Handler
) -> None:
    """Else whoever deletes a file, and leaves its pointer in the commit, would never be checked."""
    hub.fault(part, answer)
    assert await trouble(repositories(hub, cache)) is Refusal.FILE_MISSING
    assert hub.asked(part) + hub.asked(part, "HEAD") >= ATTEMPTS_MAX


async def test_content_that_comes_late_is_waited_for(hub: Hub, cache: Path) -> None:
    hub.fault("/store/", answering(404), 1)
    assert (await fetched(repositories(hub, cache))).size == sum(map(len, FILES.values()))


async def test_a_branch_named_like_a_commit_is_no_commit(hub: Hub, cache: Path) -> None:
    """It could be moved to other code after the commitment, and after the check."""
    name = "0123456789" * 4
    hub.names[name] = COMMIT
    assert await trouble(repositories(hub, cache), name) is Refusal.REVISION_MISSING


async def test_a_rate_limit_longer_than_our_time_is_not_waited_for(hub: Hub, cache: Path) -> None:
    hub.fault("/tree/", answering(429, Retry_After="86400"))
    assert await trouble(repositories(hub, cache)) is Trouble.RATE_LIMITED
    assert hub.asked("/tree/") == 1


async def test_a_hub_that_is_not_there_is_not_the_miners(hub: Hub, cache: Path) -> None:
    source = repositories(hub, cache)
    await hub.__aexit__(None, None, None)
    assert await trouble(source) is Trouble.HUB_AWAY


@pytest.mark.parametrize("part", ["/store/", "/resolve/"])
@pytest.mark.parametrize(
    "fault", [endless(), sending(b"other"), sending(WEIGHTS[::-1])], ids=["endless", "short", "other"]
)
async def test_content_that_is_not_what_was_listed_is_the_hubs(
    hub: Hub, cache: Path, part: str, fault: Handler
) -> None:
    async def only_bodies(request: web.Request) -> web.StreamResponse:
        return await (fault(request) if request.method == "GET" else hub._resolve(request))

    hub.fault(part, only_bodies)
    assert await trouble(repositories(hub, cache)) is Trouble.HUB_UNTRUE


async def test_a_listing_that_understates_a_size_is_the_hubs(hub: Hub, cache: Path) -> None:
    lie = hub.add(REPO, Revision(commit_id("lie"), {"a": bytes(REPO_BYTES_MAX)}, size_lies={"a": 10}))
    assert await trouble(repositories(hub, cache), lie.commit) is Trouble.HUB_UNTRUE


@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.1", "127.0.0.2", "[::1]"])
async def test_a_redirect_to_an_address_of_ours_is_not_followed(hub: Hub, cache: Path, address: str) -> None:
    hub.fault("/tree/", answering(302, Location=f"http://{address}:9/"))
    assert await trouble(repositories(hub, cache)) is Trouble.ADDRESS_REFUSED


async def test_a_drip_ends_with_our_time(hub: Hub, cache: Path) -> None:
    hub.fault("/store/", dripping(WEIGHTS))
    assert await trouble(repositories(hub, cache, limit_s=4.0)) is Trouble.TOO_SLOW


async def test_a_download_that_is_cancelled_leaves_nothing_and_can_be_done_again(hub: Hub, cache: Path) -> None:
    begun = asyncio.Event()

    async def wait(_request: web.Request) -> web.StreamResponse:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    hub.fault("/store/", wait, 1)
    task = asyncio.create_task(fetched(repositories(hub, cache)))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [name for name in os.listdir(cache) if name.endswith(".partial")]
    assert (await fetched(repositories(hub, cache))).commit == COMMIT


FETCH = """
import asyncio, sys
from pathlib import Path
from consumers.verification.fetcher import Fetcher
from consumers.verification.repository import Repositories

async def main(url, cache, commit):
    source = Repositories(Path(cache), Fetcher(endpoint=url, repo_bytes_max=200_000), cache_bytes_max=200_000)
    async with source.snapshot("miner/policy", commit):
        pass

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_killed_process_leaves_no_half_copy_and_no_process(hub: Hub, cache: Path) -> None:
    """The connection it had to the hub ends only with the process that fetches for it."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        begun.set()
        try:
            return await dripping(WEIGHTS)(request)
        finally:
            ended.set()

    hub.fault("/store/", drip, 1)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", FETCH, hub.url, str(cache), COMMIT)
    await begun.wait()
    process.kill()
    await process.wait()
    await ended.wait()
    assert [name for name in os.listdir(cache) if name.endswith(".partial")]
    assert (await fetched(repositories(hub, cache))).commit == COMMIT


async def test_what_a_killed_process_left_is_removed(hub: Hub, cache: Path) -> None:
    left = cache / f"{'0' * 64}.partial"
    left.mkdir(parents=True)
    (left / "reserved").write_text(str(REPO_BYTES_MAX))
    await fetched(repositories(hub, cache))
    assert not left.exists()


async def test_the_least_recently_used_copy_makes_room(hub: Hub, cache: Path) -> None:
    source = repositories(hub, cache, room=250_000)
    one, two, three = (hub.add(REPO, Revision(commit_id(name), {name: bytes(100_000)})) for name in ("1", "2", "3"))
    snapshots = [await fetched(source, each.commit) for each in (one, two)]
    await fetched(source, one.commit)
    await fetched(source, three.commit)
    assert [each.path.exists() for each in snapshots] == [True, False]


async def test_a_copy_in_use_is_never_removed(hub: Hub, cache: Path) -> None:
    source = repositories(hub, cache, room=200_000)
    one, two = (hub.add(REPO, Revision(commit_id(name), {name: bytes(150_000)})) for name in ("1", "2"))
    async with source.snapshot(REPO, one.commit) as snapshot:
        assert await trouble(source, two.commit) is Trouble.CACHE_FULL
        assert (snapshot.path / "1").stat().st_size == 150_000
    assert (await fetched(source, two.commit)).commit == two.commit


def test_a_cache_smaller_than_a_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected room for a repository of 10 bytes, got 9"):
        Repositories(tmp_path, Fetcher(repo_bytes_max=10), cache_bytes_max=9)


@pytest.mark.parametrize("endpoint", ["", "huggingface.co", "ftp://hub", "http://", "http://hub?x=1"])
def test_an_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="HF_ENDPOINT: expected a URL"):
        Fetcher(endpoint=endpoint, repo_bytes_max=1)
