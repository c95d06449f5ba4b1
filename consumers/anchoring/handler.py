"""From signed roots to anchors on the chain, and from there to facts.

Two things go on beside each other: the log is followed, which tells the newest root; and whenever an anchor is due,
the chain is looked at, and what follows is done. Trouble with the chain ends neither, and touches nothing else.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass

import orjson
import structlog

from consumers.anchoring.chain import AnchorChain, Seen
from consumers.anchoring.deciding import (
    BLOCK_S,
    AnchorDiffers,
    AnchorRefused,
    Known,
    Record,
    Submit,
    Wait,
    anchor_of,
    decide,
    is_due,
)
from consumers.catching_up import CatchingUp, run_catching_up
from events import subjects
from events.anchors import Anchor, RootAnchored
from events.chain.trouble import ChainTrouble
from events.codec import decode_as, draft
from events.envelope import RecordedEvent
from events.event import Event
from events.ids import CycleId
from events.log import Conflict, EventLog, LogUnavailable
from events.signed import RootSigned

DURABLE = "anchoring"
SOURCE = "/kinitro/anchoring"

log = structlog.stdlib.get_logger(__name__)


class NotTaken(ChainTrouble):
    """A submission failed, or its fate is unknown: the chain is looked at before the next."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """In seconds; each is shortened at random by up to a half, so that nobody keeps step."""

    retry_min_s: float = 5.0
    retry_max_s: float = 600.0
    block_s: float = BLOCK_S


class Anchoring(CatchingUp):
    """Commits to the newest signed root, every `interval` cycles."""

    durable, subject, title = DURABLE, subjects.SIGNED_ROOTS, "signed roots"

    def __init__(
        self, events: EventLog, chain: AnchorChain, *, interval: int = 1, pauses: Pauses | None = None
    ) -> None:
        super().__init__(events)
        self._chain = chain
        self._interval = interval
        self._pauses = pauses or Pauses()
        self._newest: RootSigned | None = None
        self._news = asyncio.Event()
        self._recorded: int | None = None

    async def _settle(self, recorded: RecordedEvent[Event]) -> None:
        assert isinstance(recorded.event, RootSigned), f"a {recorded.event.type} stands at {recorded.subject}"
        self._newest = recorded.event
        self._news.set()

    async def once(self) -> Record | Submit | Wait | None:
        """One look at the chain and what follows from it; None where nothing is due.

        Raises:
            ChainTrouble: the chain cannot be read, or has not taken a submission.
            AnchorRefused: our commitment is not to be overwritten.
            CodecError, LogUnavailable: as the log.
        """
        if self._newest is None:
            return None
        known = Known(anchor_in(self._newest), await self._newest_recorded())
        if not is_due(known, self._interval):
            return None
        seen = await self._chain.look()
        held = anchor_of(seen)
        signed = None if held is None else await self._signed(held.cycle)
        step = decide(known, seen, None if signed is None else anchor_in(signed.event))
        match step:
            case Record(anchor=anchor):
                assert signed is not None, "what is recorded was compared with what is signed"
                await self._record(anchor, seen, signed)
            case Submit(anchor=anchor):
                log.info("a history root is committed", cycle=anchor.cycle, root=anchor.history_root)
                if (wrong := await self._chain.submit(anchor.text)) is not None:
                    raise NotTaken(f"the anchor of cycle {anchor.cycle}: {wrong}; the chain is looked at again")
        return step

    async def follow(self, stop: asyncio.Event) -> None:
        """Anchors until `stop`. Trouble is told when it begins, when it changes, and when it ends."""
        told, pause_s = "", self._pauses.retry_min_s
        while not stop.is_set():
            self._news.clear()
            try:
                step = await self.once()
            except (ChainTrouble, AnchorRefused, LogUnavailable) as error:
                if told != (told := type(error).__name__):
                    log.warning("no history root is anchored", reason=str(error))
                await _set_within(stop, pause_s)
                pause_s = min(2 * pause_s, self._pauses.retry_max_s)
                continue
            if told:
                log.info("history roots are anchored again")
            told, pause_s = "", self._pauses.retry_min_s
            if step is None:
                await _either(self._news, stop)
            elif isinstance(step, Wait):
                await _set_within(stop, step.blocks * self._pauses.block_s)

    async def _newest_recorded(self) -> int:
        if self._recorded is None:
            self._recorded = 0
            async for batch in self._events.read(subject=subjects.ANCHORS):
                for stored in batch:
                    self._recorded = max(self._recorded, decode_as(RootAnchored, stored).event.cycle)
        return self._recorded

    async def _signed(self, cycle: CycleId) -> RecordedEvent[RootSigned] | None:
        stored = await self._events.last(subjects.signed_root(cycle))
        return None if stored is None else decode_as(RootSigned, stored)

    async def _record(self, anchor: Anchor, seen: Seen, signed: RecordedEvent[RootSigned]) -> None:
        assert seen.held is not None, "an anchor was seen"
        assert seen.held_hash is not None, "and its block with it"
        anchored = RootAnchored(
            cycle=anchor.cycle,
            history_root=anchor.history_root,
            genesis=seen.genesis,
            netuid=self._chain.netuid,
            hotkey=self._chain.hotkey,
            block=seen.held.block,
            block_hash=seen.held_hash,
        )
        with suppress(Conflict):  # another one of us has seen the same
            await self._events.append([draft(signed.envelope.follow(anchored, source=SOURCE))])
        self._recorded = max(self._recorded or 0, anchor.cycle)
        log.info(RootAnchored.type, cycle=anchor.cycle, block=anchored.block, hotkey=anchored.hotkey)


def anchor_in(signed: RootSigned) -> Anchor:
    """What is to be anchored of a signed root.

    Raises:
        AnchorDiffers: it says nothing of a history.
    """
    try:
        said = orjson.loads(signed.statement)
        return Anchor(signed.cycle, str(said["history_root"]))
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise AnchorDiffers(
            f"the signed root of cycle {signed.cycle} is {signed.statement[:200]!r}, expected a statement about a"
            " history; `kinitro audit history` says more"
        ) from error


async def run_anchoring(
    nats_url: str,
    chain: AnchorChain,
    stop: asyncio.Event,
    *,
    interval: int = 1,
    replicas: int = 1,
    pauses: Pauses | None = None,
) -> None:
    """Anchors history roots until `stop`.

    Raises:
        CodecError: a signed root cannot be read.
        LogUnavailable: no server answers at the start.
        StreamMismatch: the streams are not as they should be.
    """
    following: list[asyncio.Future[None]] = []

    def begin(events: EventLog) -> Anchoring:
        anchoring = Anchoring(events, chain, interval=interval, pauses=pauses)
        following.append(asyncio.ensure_future(anchoring.follow(stop)))
        following[0].add_done_callback(lambda _: ended.set())
        return anchoring

    ended = asyncio.Event()
    try:
        await run_catching_up(Anchoring, nats_url, begin, ended, replicas=replicas)
        for each in following:
            await each
    finally:
        for each in following:
            each.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        await chain.close()


async def _set_within(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds * random.uniform(0.5, 1.0)):
            await stop.wait()


async def _either(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
