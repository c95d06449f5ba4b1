"""A `MinerSource`: the miners of a subnet, as the chain has them."""

from __future__ import annotations

from events.miners import Commitment
from producers.discovery.commitments import Rejection, no_text, parse_commitment
from producers.discovery.metagraph import MetagraphSnapshot, RawCommitment
from producers.discovery.source import RegisteredMiner, RejectedMiner, Snapshot
from producers.discovery.subtensor import SubtensorMetagraph


class SubtensorSource:
    """Reads the newest finalized block for each snapshot."""

    def __init__(self, metagraph: SubtensorMetagraph) -> None:
        self._metagraph = metagraph

    async def snapshot(self) -> Snapshot:
        """The miners at the newest finalized block.

        Raises:
            ChainTrouble: it cannot be had, not even with some patience.
        """
        return miners_of(await self._metagraph.metagraph())


def miners_of(metagraph: MetagraphSnapshot) -> Snapshot:
    """Who has committed to what: the hotkeys that hold a uid, with their commitments judged. Pure."""
    uids = {neuron.hotkey: neuron.uid for neuron in metagraph.neurons}
    miners: list[RegisteredMiner] = []
    rejected: list[RejectedMiner] = []
    for raw in metagraph.commitments:
        judged = _judged(raw)
        if isinstance(judged, Rejection):
            rejected.append(RejectedMiner(raw.hotkey, uids[raw.hotkey], judged))
        else:
            miners.append(RegisteredMiner(raw.hotkey, uids[raw.hotkey], judged))
    return Snapshot(metagraph.block, tuple(miners), tuple(rejected), metagraph)


def _judged(raw: RawCommitment) -> Commitment | Rejection:
    if raw.is_plain or not raw.data:
        return parse_commitment(raw.data, raw.block)
    return no_text(raw.kind, raw.block, raw.data)
