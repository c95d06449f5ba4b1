"""Asks the program that talks to the hub (`consumers.verification.fetching`), and asks again where that may help."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from consumers.verification.listing import REVISION, ListedFile
from consumers.verification.trouble import HubTrouble, NoSnapshot, Refusal, RepositoryRefused, Trouble

HUB = "https://huggingface.co"
ATTEMPTS_MAX = 5
PAUSE_S, PAUSE_MAX_S = 1.0, 30.0
ANSWER_BYTES_MAX = 8 << 20
ERROR_CHARS_MAX = 500
PASSING = frozenset(
    {Trouble.HUB_AWAY, Trouble.RATE_LIMITED, Trouble.HUB_UNTRUE, Trouble.FILE_MISSING, Trouble.FETCHER_DIED}
)
"""May be otherwise at the next attempt."""
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Listing:
    """What a revision is: its full commit, and the files of it."""

    commit: str
    files: tuple[ListedFile, ...]

    @property
    def size(self) -> int:
        """In bytes, of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A file that was fetched, and is the one that was committed."""

    name: str
    size: int
    sha256: str


class Fetcher:
    """Lists and fetches revisions of public repositories, each in a process of its own."""

    def __init__(
        self,
        *,
        endpoint: str = HUB,
        repo_bytes_max: int,
        limit_s: float = 900.0,
        pause_s: float = PAUSE_S,
    ) -> None:
        """`limit_s`: for one listing, or for the files of one revision, attempts and pauses together.

        Raises:
            ValueError: the endpoint is no URL of a hub.
        """
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"HF_ENDPOINT: expected a URL such as {HUB}, got {endpoint!r}")
        self.repo_bytes_max = repo_bytes_max
        self._endpoint = endpoint.rstrip("/")
        self._limit_s = limit_s
        self._pause_s = pause_s

    async def listing(self, repo: str, revision: str, home: Path) -> Listing:
        """The commit that the revision (its hash, or 8 digits of it or more) means, and its files.

        `home`: a folder that the library may keep its settings in.

        Raises:
            RepositoryRefused, HubTrouble
        """
        if not REVISION.fullmatch(revision):
            raise RepositoryRefused(
                Refusal.REVISION_MISSING,
                f"{revision[:100]!a}: expected 8 to 40 digits of a commit's hash, lower case",
            )
        request = {"repo": repo, "revision": revision, "bytes_max": self.repo_bytes_max}
        answer = await self._asked(request, home)
        return Listing(answer["commit"], tuple(ListedFile(**file) for file in answer["files"]))

    async def fetch(self, repo: str, listing: Listing, target: Path, home: Path) -> tuple[SnapshotFile, ...]:
        """All files, as `target`/files/name, read-only. What is there from an earlier attempt is kept.

        `home`: as above.

        Raises:
            RepositoryRefused, HubTrouble
        """
        request = {
            "repo": repo,
            "commit": listing.commit,
            "files": [asdict(file) for file in listing.files],
            "target": str(target),
        }
        answer = await self._asked(request, home)
        return tuple(SnapshotFile(**file) for file in answer["files"])

    async def _asked(self, request: Mapping[str, Any], home: Path) -> dict[str, Any]:
        deadline_s = time.monotonic() + self._limit_s
        for attempt in range(1, ATTEMPTS_MAX + 1):
            left_s = deadline_s - time.monotonic()
            try:
                return await self._asked_once({"endpoint": self._endpoint, **request}, home, left_s)
            except HubTrouble as trouble:
                pause_s = self._pause(attempt, trouble)
                left_s = deadline_s - time.monotonic()
                if trouble.reason not in PASSING or attempt == ATTEMPTS_MAX or pause_s >= left_s:
                    raise _lasting(trouble) from trouble
            await asyncio.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _pause(self, attempt: int, trouble: HubTrouble) -> float:
        """Grows, is never in step with anybody else's, and is no shorter than the hub asked for."""
        grown_s = min(self._pause_s * 2.0 ** (attempt - 1), PAUSE_MAX_S) * random.uniform(0.5, 1.0)
        return float(grown_s + (trouble.retry_after_s or 0.0))

    async def _asked_once(self, request: Mapping[str, Any], home: Path, limit_s: float) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "consumers.verification.fetching"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=ANSWER_BYTES_MAX,
            cwd=home,
            env=_environment(home),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.create_task(_end_of(process.stderr))
        try:
            async with asyncio.timeout(limit_s):
                with contextlib.suppress(ConnectionError):  # it died: there is no answer, either
                    process.stdin.write(json.dumps(request).encode() + b"\n")
                    await process.stdin.drain()
                line = await process.stdout.readline()
                if not line.endswith(b"\n"):
                    detail = (await errors).decode(errors="replace")[-ERROR_CHARS_MAX:]
                    raise HubTrouble(Trouble.FETCHER_DIED, f"exit status {await process.wait()}: {detail}")
        except TimeoutError as error:
            raise HubTrouble(Trouble.TOO_SLOW, f"not done within {limit_s:.0f} s") from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            errors.cancel()
        return _answer(json.loads(line))


def _lasting(trouble: HubTrouble) -> NoSnapshot:
    """What it is after the last attempt. Content that was deleted under its listing is missing for ever."""
    if trouble.reason is not Trouble.FILE_MISSING:
        return trouble
    return RepositoryRefused(Refusal.FILE_MISSING, f"{trouble.detail}; commit to a revision with all of its files")


def _environment(home: Path) -> dict[str, str]:
    """All of it: nothing of ours, no token above all."""
    return {
        "HOME": str(home),
        "HF_HOME": str(home / "hub"),
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(_ROOT),
        "PYTHONSAFEPATH": "1",
        "LC_ALL": "C.UTF-8",
    }


async def _end_of(stream: asyncio.StreamReader) -> bytes:
    end = b""
    while chunk := await stream.read(1 << 16):
        end = (end + chunk)[-4 * ERROR_CHARS_MAX :]
    return end


def _answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    match answer:
        case {"refused": str(reason), "detail": str(detail)}:
            raise RepositoryRefused(Refusal(reason), detail)
        case {"trouble": str(reason), "detail": str(detail)}:
            raise HubTrouble(Trouble(reason), detail, answer.get("retry_after_s"))
    return dict(answer)
