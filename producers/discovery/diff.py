"""What changed between the miners that the log knows and those of a snapshot. Pure."""

from __future__ import annotations

from dataclasses import replace

from events.miners import MinerCommitmentChanged, MinerCommitmentRejected, MinerDeparted, MinerDiscovered
from events.sealed import EndpointKey
from producers.discovery.commitments import Rejection, sealed_digest, why_not_opened
from producers.discovery.registry import KnownMiner, MinerEvent, Registry
from producers.discovery.source import RegisteredMiner, RejectedMiner, Snapshot

_Miner = RegisteredMiner | RejectedMiner


def judged(snapshot: Snapshot, registry: Registry, key: EndpointKey | None) -> Snapshot:
    """The snapshot, with sealed commitments that the key does not open among the rejected.

    Who has no key cannot judge: what the log says about the same commitment stands, and a new one is accepted.
    """
    rejected = {
        miner.hotkey: RejectedMiner(miner.hotkey, miner.uid, rejection)
        for miner in snapshot.miners
        if (rejection := _judgement(miner, registry, key)) is not None
    }
    accepted = tuple(miner for miner in snapshot.miners if miner.hotkey not in rejected)
    return replace(snapshot, miners=accepted, rejected=(*snapshot.rejected, *rejected.values()))


def _judgement(miner: RegisteredMiner, registry: Registry, key: EndpointKey | None) -> Rejection | None:
    if key is not None:
        return why_not_opened(miner.commitment, key)
    known = registry.get(miner.hotkey)
    if known is None or known.rejected is None or miner.commitment.sealed_endpoint is None:
        return None
    before = _rejection(known.rejected)
    same = (before.block, before.digest) == (miner.commitment.block, sealed_digest(miner.commitment))
    return before if same else None


def changes(registry: Registry, snapshot: Snapshot) -> list[MinerEvent]:
    """The events that make the registry equal to the snapshot.

    Departures and rejections come first, so that a uid is free before it is given away; a hotkey that moved to
    another uid departs and is discovered. Within each kind the order is that of uids (of departures: of those left).

    A miner whose new commitment is rejected is no longer evaluated, even if an earlier one was valid: the chain holds
    only the newest, and an outsider who reads it must come to the same miners.
    """
    now = {miner.hotkey: miner for miner in snapshot.everybody}
    leaving = [miner for miner in registry.present() if not _stays(miner, now.get(miner.hotkey))]
    departed = [_departed(miner, snapshot.block) for miner in sorted(leaving, key=lambda it: (it.uid, it.hotkey))]
    left = {event.hotkey: event for event in departed}

    rejected: list[MinerEvent] = []
    changed: list[MinerEvent] = []
    discovered: list[MinerEvent] = []
    for miner in sorted(now.values(), key=lambda it: it.uid):
        known = registry.get(miner.hotkey)
        before = None if known is None or miner.hotkey in left else known
        ordinal = 1 + (left[miner.hotkey].ordinal if miner.hotkey in left else 0 if known is None else known.ordinal)
        if isinstance(miner, RejectedMiner):
            if not _rejected_before(miner, before):
                rejected.append(_rejected(miner, ordinal, snapshot.block))
        elif before is None or before.commitment is None:
            discovered.append(_discovered(miner, ordinal, snapshot.block))
        elif before.commitment != miner.commitment:
            changed.append(_changed(miner, ordinal, snapshot.block))
    return [*departed, *rejected, *changed, *discovered]


def _stays(known: KnownMiner, now: _Miner | None) -> bool:
    return now is not None and now.uid == known.uid


def _rejected_before(miner: RejectedMiner, known: KnownMiner | None) -> bool:
    """Whether the log holds this rejection: the same commitment, for the same reason, in whatever words."""
    if known is None or known.rejected is None:
        return False
    before, now = _rejection(known.rejected), miner.rejection
    return (before.code, before.block, before.digest) == (now.code, now.block, now.digest)


def _rejection(event: MinerCommitmentRejected) -> Rejection:
    return Rejection(event.code, event.detail, event.committed_block, event.digest)


def _departed(miner: KnownMiner, block: int) -> MinerEvent:
    return MinerDeparted(hotkey=miner.hotkey, ordinal=miner.ordinal + 1, uid=miner.uid, block=block)


def _rejected(miner: RejectedMiner, ordinal: int, block: int) -> MinerEvent:
    return MinerCommitmentRejected(
        hotkey=miner.hotkey,
        ordinal=ordinal,
        uid=miner.uid,
        block=block,
        committed_block=miner.rejection.block,
        code=miner.rejection.code,
        detail=miner.rejection.detail,
        digest=miner.rejection.digest,
    )


def _discovered(miner: RegisteredMiner, ordinal: int, block: int) -> MinerEvent:
    return MinerDiscovered(
        hotkey=miner.hotkey, ordinal=ordinal, uid=miner.uid, block=block, commitment=miner.commitment
    )


def _changed(miner: RegisteredMiner, ordinal: int, block: int) -> MinerEvent:
    return MinerCommitmentChanged(
        hotkey=miner.hotkey, ordinal=ordinal, uid=miner.uid, block=block, commitment=miner.commitment
    )
