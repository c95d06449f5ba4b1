"""A hotkey's commitment on a subnet: read at a block, and written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from events.chain.submission import ERA_BLOCKS
from events.ids import Hotkey

if TYPE_CHECKING:
    import bittensor as bt

    from events.chain.sdk import Node

PALLET = "Commitments"
RAW_BYTES_MAX = 128

_RAW = re.compile(r"Raw\d{1,3}")


@dataclass(frozen=True, slots=True)
class Held:
    """A commitment as the chain has it."""

    block: int
    """In which it was written."""
    text: str | None
    """None where it is not one text of at most 128 bytes."""


async def read_commitment(node: Node, netuid: int, hotkey: Hotkey, block_hash: str) -> Held | None:
    """None where the hotkey has none at that block.

    Raises:
        ValueError: it has another form than the pallet's.
    """
    found = await node.query(PALLET, "CommitmentOf", [netuid, hotkey], block_hash=block_hash)
    if found is None:
        return None
    try:
        return Held(int(found["block"]), _text(found["info"]["fields"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"the commitment of {hotkey} is {found!r:.200}, without block and fields") from error


async def set_commitment(client: bt.Client, netuid: int, text: str, keypair: Any) -> bt.ExtrinsicResult:
    """Commits to this text: to be sent by `events/chain/submission.py`.

    Raises:
        ValueError: it is too long.
    """
    import bittensor as bt

    data = text.encode()
    if len(data) > RAW_BYTES_MAX:
        raise ValueError(f"the commitment {text!r} has {len(data)} bytes, expected at most {RAW_BYTES_MAX}")
    call = bt.calls.Commitments.set_commitment(netuid=netuid, info={"fields": [{f"Raw{len(data)}": data}]})
    return await client.submit_call(call, keypair, signer="hotkey", period=ERA_BLOCKS)


def _text(fields: Any) -> str | None:
    if len(fields) != 1 or not isinstance(fields[0], dict):
        return None
    ((kind, value),) = fields[0].items()
    if not _RAW.fullmatch(kind) or not isinstance(value, str):
        return None
    try:
        return bytes.fromhex(value.removeprefix("0x")).decode()
    except ValueError:
        return None
