"""What is read from the chain, as plain values: who holds the uids of a subnet, and what they have committed."""

from __future__ import annotations

from dataclasses import dataclass

from events.ids import Hotkey, Uid


@dataclass(frozen=True, slots=True)
class Neuron:
    """Who holds a uid."""

    uid: Uid
    hotkey: Hotkey
    coldkey: str
    stake_rao: int
    """Its whole stake in the subnet, as the runtime adds it up: 10^9 rao are one unit."""
    registered_block: int


@dataclass(frozen=True, slots=True)
class RawCommitment:
    """What a hotkey has committed, before anybody asks what it means."""

    hotkey: Hotkey
    block: int
    """Of the commitment."""
    data: bytes
    """As committed. Where `kind` holds no text: whatever tells it from another of its kind, maybe nothing."""
    kind: str
    """`Raw` or `BigRaw`, which hold text; or what it is instead: `TimelockEncrypted`, `nothing`, `2 fields`, ..."""

    @property
    def is_plain(self) -> bool:
        """Whether `data` is what the miner wrote."""
        return self.kind in PLAIN_KINDS

    @property
    def text(self) -> str | None:
        """None where it is not plain, or not UTF-8."""
        try:
            return self.data.decode() if self.is_plain else None
        except UnicodeDecodeError:
            return None


PLAIN_KINDS = frozenset({"Raw", "BigRaw"})


@dataclass(frozen=True, slots=True)
class MetagraphSnapshot:
    """A subnet at one finalized block. All of it was read from one node, pinned to that block's hash."""

    genesis: str
    """The hash of the chain's block 0, as `block_hash`."""
    netuid: int
    block: int
    block_hash: str
    """32 bytes as lower-case hex, without 0x."""
    neurons: tuple[Neuron, ...]
    """By uid, without gaps."""
    commitments: tuple[RawCommitment, ...]
    """Of those who hold a uid, by uid; who has committed nothing is left out."""
