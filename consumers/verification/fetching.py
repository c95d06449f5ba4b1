"""The program that talks to the hub: a process of its own, started by `consumers.verification.fetcher`.

huggingface_hub is made for one trusting user: its settings, token, retries and HTTP client belong to the process,
it waits without an end for an answer or as long as a `Retry-After` says, and nothing can stop it. Here it has a
process to itself, with settings of our choice, that can be killed and that is limited by the kernel:

- a file cannot grow beyond the size that was listed (RLIMIT_FSIZE), nor memory beyond `MEMORY_BYTES_MAX`;
- a socket is connected to addresses of the public internet and to the hub's own, and to no other (audit hook);
- every silence ends after `SILENCE_S`, and every trouble is reported at once: when to try again is not decided here.

One line of JSON on standard input asks, one on standard output answers. It ends when its standard input does.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, hf_hub_download, set_client_factory
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from consumers.verification.listing import COMMIT, FILES_MAX, ListedFile, check, checked_sha256, commit_of
from consumers.verification.trouble import HubTrouble, NoSnapshot, Refusal, RepositoryRefused, Trouble
from sim.http.addresses import AddressRefused, refusal

SILENCE_S = 20.0
COMMIT_PAGES_MAX = 100
MEMORY_BYTES_MAX = 4 << 30
SMALL_FILE_BYTES = 64 << 10
"""What the library writes beside a file: a lock, and where it came from."""
DETAIL_CHARS_MAX = 500
_TRANSLATED = (
    AddressRefused,
    httpx2.HTTPError,
    OSError,
    MemoryError,
    *(AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),  # an answer that is none
)


class Transport(httpx2.HTTPTransport):
    """Turns every trouble that may pass into `HubTrouble`, before the library begins to wait."""

    requests_left: int | None = None
    commit: str | None = None
    """What is asked for. A branch or a tag may have the name of a commit that there is not, and be moved."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.requests_left is not None:
            if self.requests_left == 0:
                raise RepositoryRefused(
                    Refusal.TOO_MANY_COMMITS, "too many commits to look for a short revision; commit to the full hash"
                )
            self.requests_left -= 1
        request.extensions["timeout"] = httpx2.Timeout(SILENCE_S).as_dict()
        try:
            response = super().handle_request(request)
        except httpx2.TransportError as error:
            raise HubTrouble(Trouble.HUB_AWAY, f"{request.url.host}: {type(error).__name__}: {error}") from error
        if response.status_code in (408, 425, 429) or response.status_code >= 500:
            limited = response.status_code == 429
            response.close()
            raise HubTrouble(
                Trouble.RATE_LIMITED if limited else Trouble.HUB_AWAY,
                f"{request.url.host} answered {response.status_code}",
                retry_after_s(response.headers.get("Retry-After")),
            )
        meant = response.headers.get("X-Repo-Commit")
        if self.commit is not None and meant not in (None, self.commit):
            response.close()
            raise RepositoryRefused(
                Refusal.REVISION_MISSING, f"{self.commit} is no commit, but a name for {meant}; commit to that"
            )
        return response


def retry_after_s(header: str | None) -> float | None:
    """A number of seconds; the other form, a date, is not taken from a clock that is not ours."""
    return float(header) if header is not None and header.isdecimal() and len(header) < 10 else None


def main() -> None:
    """Answers one question."""
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    _limit_this_process(request["endpoint"])
    transport = Transport()
    set_client_factory(
        lambda: httpx2.Client(transport=transport, follow_redirects=True, max_redirects=5, timeout=None)
    )
    try:
        answer = _answer(request, transport)
    except NoSnapshot as trouble:
        answer = _reported(trouble)
    except _TRANSLATED as error:
        answer = _reported(_translated(error))
    print(json.dumps(answer), flush=True)  # noqa: T201  # the answer


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


def _limit_this_process(endpoint: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    parts = urlsplit(endpoint)
    try:
        own = {info[4][0] for info in socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)}
    except OSError:
        own = set()

    def only_known(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "socket.connect":
            return
        address = str(arguments[1][0])
        if address not in own and (reason := refusal(address, allow_private=False)):
            raise AddressRefused(f"the hub sends us to {address}, {reason}")

    sys.addaudithook(only_known)


def _answer(request: dict[str, Any], transport: Transport) -> dict[str, Any]:
    api = HfApi(endpoint=request["endpoint"], token=False)
    if "files" not in request:
        return _listed(api, transport, request["repo"], request["revision"], request["bytes_max"])
    transport.commit = request["commit"]
    files = [ListedFile(**each) for each in request["files"]]
    target = Path(request["target"])
    return {"files": [_fetched(request, file, target) for file in files]}


def _listed(api: HfApi, transport: Transport, repo: str, revision: str, bytes_max: int) -> dict[str, Any]:
    commit = revision
    if not COMMIT.fullmatch(revision):
        transport.requests_left = COMMIT_PAGES_MAX
        commit = commit_of(revision, (each.commit_id for each in api.list_repo_commits(repo)))
        transport.requests_left = None
    entries = list(islice(api.list_repo_tree(repo, recursive=True, revision=commit), 4 * FILES_MAX))
    files = [_listed_file(entry) for entry in entries if isinstance(entry, RepoFile)]
    folders = [entry.path for entry in entries if not isinstance(entry, RepoFile)]
    if len(entries) == 4 * FILES_MAX:
        raise RepositoryRefused(
            Refusal.TOO_MANY_FILES, f"the revision has more than {4 * FILES_MAX} files and folders"
        )
    check(files, folders, bytes_max)
    return {"commit": commit, "files": [asdict(file) for file in files]}


def _listed_file(entry: RepoFile) -> ListedFile:
    if entry.lfs is None:
        return ListedFile(entry.path, int(entry.size), entry.blob_id, None)
    return ListedFile(entry.path, int(entry.lfs.size), entry.blob_id, entry.lfs.sha256)


def _fetched(request: dict[str, Any], file: ListedFile, target: Path) -> dict[str, Any]:
    place = target / "files" / file.name
    if not place.exists():
        apart = target / "apart"
        shutil.rmtree(apart, ignore_errors=True)
        try:
            path = _downloaded(request, file, apart)
        except HfHubHTTPError as error:
            if error.response.status_code not in (404, 410):
                raise
            raise HubTrouble(
                Trouble.FILE_MISSING, f"{file.name}: listed, and not there: {_chained(error)}"
            ) from error
        sha256 = checked_sha256(file, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.chmod(0o444)
        path.replace(place)
        shutil.rmtree(apart)
    else:
        sha256 = checked_sha256(file, place)
    return {"name": file.name, "size": file.size, "sha256": sha256}


def _downloaded(request: dict[str, Any], file: ListedFile, apart: Path) -> Path:
    """In a folder of its own: the library keeps notes beside the files, whose names a repository may have too."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.size + SMALL_FILE_BYTES, hard))
    try:
        path = Path(
            hf_hub_download(
                request["repo"],
                file.name,
                revision=request["commit"],
                endpoint=request["endpoint"],
                local_dir=apart,
                token=False,
            )
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    if path.is_symlink() or not path.is_file():
        raise HubTrouble(Trouble.HUB_UNTRUE, f"{file.name}: what was fetched is not a plain file")
    return path


def _translated(error: Exception) -> NoSnapshot:
    """The library's errors, and the system's, as ours."""
    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        return _translated(error.__cause__)
    detail = _chained(error)
    return _refused(error, detail) or _failed(error, detail) or HubTrouble(Trouble.HUB_AWAY, detail)


def _refused(error: Exception, detail: str) -> RepositoryRefused | None:
    match error:
        case GatedRepoError() | DisabledRepoError():
            return RepositoryRefused(Refusal.NO_ACCESS, f"everybody must be able to read it: {detail}")
        case RepositoryNotFoundError() | HFValidationError():
            return RepositoryRefused(
                Refusal.REPOSITORY_MISSING, f"there is none of this name that is public: {detail}"
            )
        case RevisionNotFoundError():
            return RepositoryRefused(Refusal.REVISION_MISSING, f"the repository has no such commit: {detail}")
        case HfHubHTTPError() if error.response.status_code in (401, 403):
            return RepositoryRefused(Refusal.NO_ACCESS, f"everybody must be able to read it: {detail}")
    return None


def _failed(error: Exception, detail: str) -> HubTrouble | None:
    match error:
        case AddressRefused():
            return HubTrouble(Trouble.ADDRESS_REFUSED, detail)
        case OSError(errno=errno.EFBIG):
            return HubTrouble(Trouble.HUB_UNTRUE, "a file is larger than it was listed")
        case OSError(errno=errno.ENOSPC):
            return HubTrouble(Trouble.CACHE_FULL, "the disk of the cache of repositories has no space left")
        case OSError() if "Consistency check failed" in str(error):
            return HubTrouble(Trouble.HUB_UNTRUE, detail)
    return None


def _chained(error: BaseException) -> str:
    causes: Iterator[BaseException] = _causes(error)
    return " <- ".join(_line(each) for each in islice(causes, 3))[:DETAIL_CHARS_MAX]


def _line(error: BaseException) -> str:
    """Without what the library writes around an answer: a link to its manual, and a page of advice to its users."""
    if isinstance(error, HfHubHTTPError):
        said = f", {error.server_message}" if error.server_message else ""
        return " ".join(f"the hub answers {error.response.status_code}{said}".split())
    return " ".join(f"{type(error).__name__}: {error}".split())


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = None if isinstance(error, HfHubHTTPError) else error.__cause__


def _reported(trouble: NoSnapshot) -> dict[str, Any]:
    match trouble:
        case RepositoryRefused(reason=reason, detail=detail):
            return {"refused": reason, "detail": detail}
        case HubTrouble(reason=reason, detail=detail, retry_after_s=seconds):
            return {"trouble": reason, "detail": detail, "retry_after_s": seconds}
    raise trouble


if __name__ == "__main__":
    main()
