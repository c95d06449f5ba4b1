"""A hotkey on the chain, and how the backend reads what it has committed."""

from __future__ import annotations

from dataclasses import dataclass

from events.ids import Hotkey, Uid
from events.miners import Commitment
from producers.discovery.commitments import Rejection
from producers.discovery.metagraph import MetagraphSnapshot, RawCommitment
from producers.discovery.source import RejectedMiner
from producers.discovery.subtensor_source import miners_of


@dataclass(frozen=True, slots=True)
class Reading:
    """What one finalized block says of a hotkey."""

    hotkey: Hotkey
    netuid: int
    block: int
    uid: Uid | None
    """None: it holds none, and whatever it has committed is not looked at."""
    raw: RawCommitment | None
    judged: Commitment | Rejection | None

    @property
    def accepted(self) -> bool:
        return isinstance(self.judged, Commitment)

    def holds(self, text: str, *, since: int = -1) -> bool:
        """Whether this is what is committed, in a block after `since`."""
        return self.raw is not None and self.raw.text == text and self.raw.block > since


def reading_of(metagraph: MetagraphSnapshot, hotkey: Hotkey) -> Reading:
    """Pure."""
    uid = next((neuron.uid for neuron in metagraph.neurons if neuron.hotkey == hotkey), None)
    raw = next((each for each in metagraph.commitments if each.hotkey == hotkey), None)
    miner = next((each for each in miners_of(metagraph).everybody if each.hotkey == hotkey), None)
    judged = None if miner is None else miner.rejection if isinstance(miner, RejectedMiner) else miner.commitment
    return Reading(hotkey, metagraph.netuid, metagraph.block, uid, raw, judged)


def lines(reading: Reading) -> list[str]:
    """For a terminal."""
    where = f"subnet {reading.netuid} at finalized block {reading.block}"
    if reading.uid is None:
        return [f"{reading.hotkey} holds no uid of {where}: register it first, with `btcli subnet register`"]
    head = f"{reading.hotkey} holds uid {reading.uid} of {where}"
    if reading.raw is None or reading.judged is None:
        return [head, "nothing is committed"]
    return [head, *_committed(reading.raw), *_judged(reading.judged)]


def _committed(raw: RawCommitment) -> list[str]:
    shown = raw.text if raw.text is not None and raw.text.isprintable() else repr(raw.data)
    return [f"committed at block {raw.block}, {len(raw.data)} bytes as {raw.kind}", f"  {shown:.600}"]


def _judged(judged: Commitment | Rejection) -> list[str]:
    if isinstance(judged, Rejection):
        return [f"the backend rejects it ({judged.code}): {judged.detail}"]
    endpoint = judged.endpoint or "encrypted; only the backend can tell whether its key opens it"
    return [
        "the backend accepts it",
        f"  repository  {judged.repo}",
        f"  revision    {judged.revision}",
        f"  endpoint    {endpoint}",
    ]
