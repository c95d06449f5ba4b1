"""What the chain has of the history: a root that was committed there, where nobody can write it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from events import subjects
from events.anchors import Anchor, RootAnchored, parse_anchor
from events.chain.commitments import Held, read_commitment
from events.chain.link import ChainLink
from events.chain.reads import finalized_hash, hash_of, number_of
from events.chain.trouble import StatePruned
from events.cli import Misused
from events.codec import decode_as
from events.ids import Hotkey
from events.keys import is_address
from events.log import EventLog

if TYPE_CHECKING:
    from events.chain.sdk import Node


@dataclass(frozen=True)
class ChainOptions:
    """Which chain to compare with."""

    chain_endpoint: Annotated[
        list[str] | None, typer.Option(help="A node of the chain: compare with what is anchored there.")
    ] = None
    netuid: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The subnet of the anchors, where the log does not say it.")
    ] = None
    anchor_hotkey: Annotated[
        str | None, typer.Option(help="Who must have anchored (SS58); where absent, whom the log names.")
    ] = None

    def wanted(self, recorded: RootAnchored | None) -> Anchors | None:
        """Whose anchors are compared with; None where no chain was named.

        Raises:
            Misused: it is not said which, or of whom.
        """
        if not self.chain_endpoint:
            return None
        if self.anchor_hotkey is not None and not is_address(self.anchor_hotkey):
            raise Misused(f"--anchor-hotkey {self.anchor_hotkey}: expected an address in SS58")
        hotkey = self.anchor_hotkey or (recorded.hotkey if recorded else None)
        netuid = self.netuid if self.netuid is not None or recorded is None else recorded.netuid
        if hotkey is None or netuid is None:
            raise Misused(
                "--chain-endpoint needs --netuid and --anchor-hotkey: no anchor is recorded here that names them"
            )
        try:
            return Anchors(ChainLink(self.chain_endpoint), netuid, Hotkey(hotkey))
        except ValueError as error:
            raise Misused(f"--chain-endpoint: {error}") from error


@dataclass(frozen=True, slots=True)
class Found:
    """A commitment, as the chain has it."""

    block: int
    """At which it was read."""
    anchor: Anchor | None
    held: Held | None

    def __str__(self) -> str:
        if self.anchor is not None:
            return f"the history root {self.anchor.history_root} of cycle {self.anchor.cycle}"
        return "no commitment" if self.held is None else f"the commitment {self.held.text!r}"


@dataclass(frozen=True, slots=True)
class Record:
    """What the chain has at the block that a recorded anchor names."""

    same_chain: bool
    block_hash: str
    """Of that block, as the chain has it."""
    found: Found | None
    """None where the state of the block is discarded."""


class Anchors:
    """One hotkey's anchors on one subnet."""

    def __init__(self, link: ChainLink, netuid: int, hotkey: Hotkey) -> None:
        self._link, self._netuid, self.hotkey = link, netuid, hotkey
        self.recorded: RootAnchored | None = None
        """What the log says of the one that is looked for, where it says anything."""

    async def newest(self) -> Found:
        """At the newest finalized block.

        Raises:
            ChainTrouble: the chain cannot be read now.
        """

        async def read(node: Node) -> Found:
            return await self._at(node, await finalized_hash(node))

        return await self._link.call(read)

    async def of(self, recorded: RootAnchored) -> Record:
        """At the block that was recorded.

        Raises:
            ChainTrouble: the chain cannot be read now.
        """

        async def read(node: Node) -> tuple[bool, str]:
            return (await hash_of(node, 0))[2:] == recorded.genesis, (await hash_of(node, recorded.block))[2:]

        same_chain, block_hash = await self._link.call(read)
        found = None
        if same_chain and block_hash == recorded.block_hash:
            try:
                found = await self._link.call(lambda node: self._at(node, f"0x{block_hash}"))
            except StatePruned:
                found = None
        return Record(same_chain, block_hash, found)

    async def close(self) -> None:
        await self._link.close()

    async def _at(self, node: Node, block_hash: str) -> Found:
        held = await read_commitment(node, self._netuid, self.hotkey, block_hash)
        anchor = None if held is None else parse_anchor(held.text or "")
        return Found(await number_of(node, block_hash), anchor, held)


async def recorded_anchors(log: EventLog) -> list[RootAnchored]:
    """All that the log says are on the chain, oldest first.

    Raises:
        CodecError, LogUnavailable: as the log.
    """
    return [
        decode_as(RootAnchored, stored).event
        async for batch in log.read(subject=subjects.ANCHORS)
        for stored in batch
    ]
