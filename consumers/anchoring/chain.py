"""One hotkey's commitment on one subnet, as anchoring needs it: looked at in finalized blocks, and written."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from events.chain.commitments import Held, read_commitment, set_commitment
from events.chain.link import ChainLink
from events.chain.reads import finalized_hash, hash_of, number_of
from events.chain.submission import SUBMIT_S, Fate, submit
from events.chain.trouble import Reorganised
from events.ids import Hotkey

if TYPE_CHECKING:
    from events.chain.sdk import Node


@dataclass(frozen=True, slots=True)
class Seen:
    """At one finalized block."""

    genesis: str
    """Lower-case hex, as all hashes here."""
    block: int
    held: Held | None
    held_hash: str | None
    """Of the block in which it was written."""
    is_under_way: bool
    """The hotkey has sent something that is in no finalized block yet."""


class AnchorChain:
    """The node that a submission failed at is the last to be asked at the next."""

    def __init__(
        self, endpoints: Sequence[str], netuid: int, keypair: Any, *, submit_s: float = SUBMIT_S, **times: float
    ) -> None:
        self._link = ChainLink(endpoints, **times)
        self._endpoints = deque(endpoints)
        self._keypair = keypair
        self._submit_s = submit_s
        self.netuid = netuid
        self.hotkey = Hotkey(str(keypair.ss58_address))

    async def look(self) -> Seen:
        """What the newest finalized block says.

        Raises:
            ChainTrouble: the chain cannot be read now.
        """
        return await self._link.call(lambda node: _look(node, self.netuid, self.hotkey))

    async def submit(self, text: str) -> str | None:
        """Commits to it, and waits until that is finalized, or not. None, or what went wrong.

        What went wrong says nothing of its fate: look.
        """
        sent = await submit(
            tuple(self._endpoints),
            lambda client: set_commitment(client, self.netuid, text, self._keypair),
            limit_s=self._submit_s,
        )
        if sent.fate is Fate.FINALIZED:
            return None
        self._endpoints.rotate(-1)
        return sent.detail

    async def close(self) -> None:
        await self._link.close()


async def _look(node: Node, netuid: int, hotkey: Hotkey) -> Seen:
    block_hash = await finalized_hash(node)
    block = await number_of(node, block_hash)
    held = await read_commitment(node, netuid, hotkey, block_hash)
    account = await node.query("System", "Account", [hotkey], block_hash=block_hash)
    used = 0 if account is None else int(account["nonce"])
    seen = Seen(
        genesis=(await hash_of(node, 0))[2:],
        block=block,
        held=held,
        held_hash=None if held is None else (await hash_of(node, held.block))[2:],
        is_under_way=int(await node.raw.rpc_request("account_nextIndex", [hotkey])) > used,
    )
    if (now := await hash_of(node, block)) != block_hash:
        raise Reorganised(f"finalized block {block} was {block_hash} and is {now} now; it is read again")
    return seen
