"""A log that comes back with less than it had is refused by who has seen more, however long it has become since."""

from __future__ import annotations

import shutil
from contextlib import aclosing

import pytest

from events.connection import connect
from events.continuity import Continuity
from events.jetstream import JetStreamLog
from events.log import LogDamaged
from events.streams import ensure_streams
from tests.contracts.event_log import a_draft, drafts, everything
from tests.fixtures.nats import NatsProcess

REFUSED = "another event, where evt.today.4 was seen already"


async def test_who_has_seen_more_than_was_restored_refuses_the_log(nats_alone: NatsProcess) -> None:
    async with await connect(nats_alone.url, "test") as connection:
        await ensure_streams(connection)
        writer, reader, follower, bystander = (JetStreamLog(connection) for _ in range(4))
        await writer.append(drafts(5, prefix="evt.yesterday"))
        await everything(bystander)
        store = nats_alone.embedded.directory / "store"
        backup = shutil.copytree(store, store.with_name("backup"))
        await writer.append(drafts(5, prefix="evt.today"))
        await everything(reader)
        async with aclosing(follower.follow()) as following:
            await anext(following)
            nats_alone.kill()
            shutil.rmtree(store)
            backup.rename(store)
            nats_alone.start()
            await nats_alone.embedded.wait_ready()
            await JetStreamLog(connection).append(drafts(9, prefix="evt.since"))

            with pytest.raises(LogDamaged, match=REFUSED):
                await writer.append([a_draft("evt.more")])
            with pytest.raises(LogDamaged, match=REFUSED):
                await everything(reader)
            with pytest.raises(LogDamaged, match=REFUSED):
                await anext(following)
            assert len(await everything(bystander)) == 14, "what it has seen is there"


async def test_a_restart_that_loses_nothing_is_no_reason(nats_alone: NatsProcess) -> None:
    async with await connect(nats_alone.url, "test") as connection:
        await ensure_streams(connection)
        log, continuity = JetStreamLog(connection), Continuity(connection)
        await log.append(drafts(3))
        for stored in await everything(log):
            continuity.saw(stored)
        nats_alone.kill()
        nats_alone.start()
        await nats_alone.embedded.wait_ready()
        assert await log.append([a_draft("evt.more")]) == [4]
        await continuity.confirm()
        assert connection.losses == 1
