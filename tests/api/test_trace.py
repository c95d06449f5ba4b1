"""Recordings over HTTP: secret until the cycle has ended, then anybody's, for as long as they are kept."""

from __future__ import annotations

import hashlib

import aiohttp
import pytest

from consumers.audit.case import CannotAudit, NeverRan, NoSuchEpisode, NotYetPublic, SourceAway, TraceGone
from consumers.audit.sources import ApiSource, LogSource
from events.connection import Connection
from events.episodes import EpisodeCompleted
from events.event import Event
from events.ids import EpisodeKey
from events.stream_settings import TRACES_KEPT
from events.streams import ensure_streams
from events.traces import TraceStore
from tests.controls import facts
from tests.fixtures.http import Api, Written
from tests.fixtures.ports import free_port
from tests.fixtures.projecting import write

COMPLETED, FORFEITED = facts.key(uid=0, index=0), facts.key(uid=1, index=0)
"""Both with a recording."""
GONE, ABANDONED = facts.key(uid=0, index=1), facts.key(uid=1, index=1)
BODY = b"\x00 what was recorded \xff"


def path(key: EpisodeKey) -> str:
    return f"/v1/episodes/{key.id}/trace"


def cycle(number: int = 1) -> list[Event]:
    instead = {FORFEITED: facts.forfeited(FORFEITED), ABANDONED: facts.abandoned(ABANDONED)}
    return [instead.get(it.key, it) if isinstance(it, EpisodeCompleted) else it for it in facts.whole_cycle(number)]


@pytest.fixture
async def traces(nats: Connection) -> TraceStore:
    await ensure_streams(nats, traces=TRACES_KEPT)
    store = TraceStore(nats)
    for key in (COMPLETED, FORFEITED):
        await store.keep(key, 1, facts.evidence(key).action_digest, BODY)
    return store


@pytest.fixture
async def ended(read_side: Written, traces: TraceStore) -> None:
    await write(read_side.log, *cycle())
    await read_side.project()


@pytest.fixture
async def running(read_side: Written, traces: TraceStore) -> None:
    await write(read_side.log, *cycle()[:-2])
    await read_side.project()


@pytest.mark.usefixtures("ended")
async def test_the_stored_bytes_come_with_their_digest(api: Api) -> None:
    answer = await api.get(path(COMPLETED))
    assert (answer.status, answer.body) == (200, BODY)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(BODY).hexdigest()}"'


@pytest.mark.usefixtures("ended")
async def test_who_has_the_bytes_already_gets_none(api: Api) -> None:
    etag = (await api.get(path(COMPLETED))).headers["ETag"]
    answer = await api.get(path(COMPLETED), **{"If-None-Match": etag})
    assert (answer.status, answer.body) == (304, b"")


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("key", [COMPLETED, GONE, ABANDONED])
async def test_nothing_is_public_before_the_cycle_has_ended(api: Api, key: EpisodeKey) -> None:
    assert await api.problem(path(key)) == (409, "trace-not-yet-public")


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize(
    ("key", "kind"),
    [(GONE, "trace-gone"), (ABANDONED, "no-trace"), (facts.key(uid=99), "unknown-episode")],
)
async def test_why_there_is_no_recording_is_told_apart(api: Api, key: EpisodeKey, kind: str) -> None:
    assert await api.problem(path(key)) == (404, kind)


@pytest.mark.usefixtures("ended")
async def test_a_recording_that_is_gone_says_how_long_they_are_kept(api: Api) -> None:
    assert "kept for 72 h" in (await api.get(path(GONE))).json["detail"]


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize("key", [COMPLETED, FORFEITED])
async def test_an_audit_gets_the_same_case_from_the_api_as_from_the_log(
    api: Api, read_side: Written, traces: TraceStore, key: EpisodeKey
) -> None:
    of_log = await LogSource(read_side.log, traces).case(key)
    assert await ApiSource(api.session, api.base_url).case(key) == of_log


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize(
    ("key", "error"),
    [(GONE, TraceGone), (ABANDONED, NeverRan), (facts.key(uid=99), NoSuchEpisode), (facts.key(9), NoSuchEpisode)],
)
async def test_an_audit_is_told_the_same_from_the_api_as_from_the_log(
    api: Api, read_side: Written, traces: TraceStore, key: EpisodeKey, error: type[CannotAudit]
) -> None:
    for source in (LogSource(read_side.log, traces), ApiSource(api.session, api.base_url)):
        with pytest.raises(error):
            await source.case(key)


@pytest.mark.usefixtures("running")
async def test_an_audit_through_the_api_has_to_wait_for_the_end_of_the_cycle(api: Api) -> None:
    with pytest.raises(NotYetPublic):
        await ApiSource(api.session, api.base_url).case(COMPLETED)


async def test_an_api_that_is_not_there_is_named() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(SourceAway, match="is --api-url right"):
            await ApiSource(session, f"http://127.0.0.1:{free_port()}").case(COMPLETED)
