"""What changed between the miners that the log knows and those of a snapshot. Pure."""

from __future__ import annotations

from events.miners import MinerCommitmentChanged, MinerDeparted, MinerDiscovered
from producers.discovery.registry import KnownMiner, MinerEvent, Registry
from producers.discovery.source import RegisteredMiner, Snapshot


def changes(registry: Registry, snapshot: Snapshot) -> list[MinerEvent]:
    """The events that make the registry equal to the snapshot.

    Departures come first, so that a uid is free before it is given away; a hotkey that moved to another uid departs
    and is discovered. Within each kind the order is that of uids (of departures: of the uids left).
    """
    now = {miner.hotkey: miner for miner in snapshot.miners}
    leaving = [miner for miner in registry.registered() if not _stays(miner, now.get(miner.hotkey))]
    gone = {miner.hotkey for miner in leaving}
    departed = [_departed(miner, snapshot.block) for miner in sorted(leaving, key=lambda it: (it.uid, it.hotkey))]

    changed: list[MinerEvent] = []
    discovered: list[MinerEvent] = []
    for miner in sorted(snapshot.miners, key=lambda it: it.uid):
        known = registry.get(miner.hotkey)
        ordinal = (0 if known is None else known.ordinal) + 1
        if known is None or known.commitment is None:
            discovered.append(_discovered(miner, ordinal, snapshot.block))
        elif miner.hotkey in gone:
            discovered.append(_discovered(miner, ordinal + 1, snapshot.block))
        elif known.commitment != miner.commitment:
            changed.append(_changed(miner, ordinal, snapshot.block))
    return [*departed, *changed, *discovered]


def _stays(known: KnownMiner, now: RegisteredMiner | None) -> bool:
    return now is not None and now.uid == known.uid


def _departed(miner: KnownMiner, block: int) -> MinerEvent:
    return MinerDeparted(hotkey=miner.hotkey, ordinal=miner.ordinal + 1, uid=miner.uid, block=block)


def _discovered(miner: RegisteredMiner, ordinal: int, block: int) -> MinerEvent:
    return MinerDiscovered(
        hotkey=miner.hotkey, ordinal=ordinal, uid=miner.uid, block=block, commitment=miner.commitment
    )


def _changed(miner: RegisteredMiner, ordinal: int, block: int) -> MinerEvent:
    return MinerCommitmentChanged(
        hotkey=miner.hotkey, ordinal=ordinal, uid=miner.uid, block=block, commitment=miner.commitment
    )
