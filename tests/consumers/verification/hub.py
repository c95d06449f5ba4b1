"""A hub to download from, over real HTTP: the routes that huggingface_hub uses, and all that may go wrong on them.

GET      /api/models/REPO/commits/main        pages of commits, linked
GET      /api/models/REPO/tree/COMMIT         pages of entries, linked
HEAD GET /REPO/resolve/COMMIT/NAME            a file, or a redirect to the content store for Git LFS's
GET      /store/SHA256                        the content store: another origin, as it is in the world
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PAGE = 3


@dataclass
class Revision:
    """A commit of a repository."""

    commit: str
    files: dict[str, bytes]
    large: frozenset[str] = frozenset()
    """Names of files that Git LFS stores."""
    others: list[dict[str, object]] = field(default_factory=list)
    """Entries that are neither files nor folders of files."""
    size_lies: dict[str, int] = field(default_factory=dict)

    def entries(self) -> list[dict[str, object]]:
        folders = {"/".join(name.split("/")[:end]) for name in self.files for end in range(1, name.count("/") + 1)}
        trees = [{"type": "directory", "path": each, "oid": "0" * 40, "size": 0} for each in sorted(folders)]
        return [*trees, *(self._file(name) for name in sorted(self.files)), *self.others]

    def _file(self, name: str) -> dict[str, object]:
        content = self.files[name]
        size = self.size_lies.get(name, len(content))
        if name not in self.large:
            return {"type": "file", "path": name, "size": size, "oid": git_sha1(content)}
        sha256 = hashlib.sha256(content).hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        lfs = {"oid": sha256, "size": size, "pointerSize": len(pointer)}
        return {"type": "file", "path": name, "size": size, "oid": git_sha1(pointer), "lfs": lfs}


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\x00" % len(content) + content).hexdigest()


def commit_id(name: str) -> str:
    return hashlib.sha1(name.encode()).hexdigest()


class Hub:
    """`async with Hub() as hub`: serves `hub.revisions` at `hub.url`, and their large files at `hub.store_url`."""

    def __init__(self) -> None:
        self.revisions: dict[str, list[Revision]] = {}
        """By repository, the newest first."""
        self.names: dict[str, str] = {}
        """Branches and tags: by name, a commit."""
        self.requests: list[web.Request] = []
        self._faults: list[tuple[str, Handler, int]] = []
        app = web.Application(middlewares=[self._with_faults])
        app.router.add_get("/api/models/{repo:[^/]+/[^/]+}/commits/main", self._commits)
        app.router.add_get("/api/models/{repo:[^/]+/[^/]+}/tree/{commit}", self._tree)
        app.router.add_get("/{repo:[^/]+/[^/]+}/resolve/{commit}/{name:.+}", self._resolve)
        store = web.Application(middlewares=[self._with_faults])
        store.router.add_get("/store/{sha256}", self._store)
        self._runners = [
            web.AppRunner(each, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
            for each in (app, store)
        ]

    async def __aenter__(self) -> Hub:
        for runner in self._runners:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for runner in self._runners:
            await runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._runners[0].addresses[0][1]}"

    @property
    def store_url(self) -> str:
        return f"http://127.0.0.1:{self._runners[1].addresses[0][1]}"

    def add(self, repo: str, revision: Revision) -> Revision:
        self.revisions.setdefault(repo, []).insert(0, revision)
        return revision

    def fault(self, part: str, handler: Handler, times: int = 1_000_000) -> None:
        """The next requests whose path has this part are answered so."""
        self._faults.append((part, handler, times))

    def asked(self, part: str, method: str = "GET") -> int:
        return sum(part in request.path and request.method == method for request in self.requests)

    @web.middleware
    async def _with_faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append(request)
        for place, (part, fault, times) in enumerate(self._faults):
            if part in request.path and times > 0:
                self._faults[place] = (part, fault, times - 1)
                return await fault(request)
        return await handler(request)

    async def _commits(self, request: web.Request) -> web.Response:
        revisions = self.revisions.get(request.match_info["repo"])
        if revisions is None:
            return refused(401, "RepoNotFound")
        when = "2026-01-01T00:00:00.000Z"
        return self._page(
            request,
            [
                {"id": each.commit, "authors": [{"user": "miner"}], "date": when, "title": "", "message": ""}
                for each in revisions
            ],
        )

    async def _tree(self, request: web.Request) -> web.Response:
        revision = self._revision(request)
        return revision if isinstance(revision, web.Response) else self._page(request, revision.entries())

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        revision = self._revision(request)
        if isinstance(revision, web.Response):
            return revision
        name = request.match_info["name"]
        content = revision.files.get(name)
        if content is None:
            return refused(404, "EntryNotFound")
        headers = {"X-Repo-Commit": revision.commit}
        if name not in revision.large:
            return with_content(request, content, headers | {"ETag": f'"{git_sha1(content)}"'})
        sha256 = hashlib.sha256(content).hexdigest()
        headers |= {
            "X-Linked-Size": str(len(content)),
            "X-Linked-ETag": f'"{sha256}"',
            "ETag": f'"{git_sha1(content)}"',
        }
        return web.Response(status=302, headers=headers | {"Location": f"{self.store_url}/store/{sha256}"})

    async def _store(self, request: web.Request) -> web.StreamResponse:
        for revision in self._all():
            for content in revision.files.values():
                if hashlib.sha256(content).hexdigest() == request.match_info["sha256"]:
                    return with_content(request, content, {"Accept-Ranges": "bytes"})
        return web.Response(status=404)

    def _all(self) -> Iterable[Revision]:
        return (each for revisions in self.revisions.values() for each in revisions)

    def _revision(self, request: web.Request) -> Revision | web.Response:
        revisions = self.revisions.get(request.match_info["repo"])
        if revisions is None:
            return refused(401, "RepoNotFound")
        asked = request.match_info["commit"]
        found = [each for each in revisions if each.commit == self.names.get(asked, asked)]
        return found[0] if found else refused(404, "RevisionNotFound")

    def _page(self, request: web.Request, items: list[dict[str, object]]) -> web.Response:
        begin = int(request.query.get("cursor", "0"))
        headers = {}
        if begin + PAGE < len(items):
            headers["Link"] = f'<{self.url}{request.path}?cursor={begin + PAGE}&recursive=True>; rel="next"'
        return web.json_response(items[begin : begin + PAGE], headers=headers)


def with_content(request: web.Request, content: bytes, headers: dict[str, str]) -> web.Response:
    """All of it, or the range that was asked for."""
    begin = request.http_range.start or 0
    if not begin:
        return web.Response(body=content, headers=headers)
    headers = headers | {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"}
    return web.Response(status=206, body=content[begin:], headers=headers)


def refused(status: int, code: str) -> web.Response:
    return web.json_response({"error": code}, status=status, headers={"X-Error-Code": code})


def answering(status: int, **headers: str) -> Handler:
    """Headers with underscores for hyphens."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={name.replace("_", "-"): text for name, text in headers.items()})

    return answer


def cut_after(content: bytes, count: int) -> Handler:
    """Announces all of the content, and breaks the connection off in the middle."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        await response.write(content[:count])
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def endless() -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(1 << 16))

    return answer


def sending(content: bytes) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=content)

    return answer


def dripping(content: bytes) -> Handler:
    """A byte at a time, always soon enough to be no silence."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        for number in range(len(content)):
            await response.write(content[number : number + 1])
            await asyncio.sleep(0.05)
        return response

    return answer
