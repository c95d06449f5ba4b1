"""Sending an extrinsic, and saying no more of its fate than is known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from events.chain.link import ChainLink
from events.chain.trouble import ChainTrouble

if TYPE_CHECKING:
    import bittensor as bt

    from events.chain.sdk import Node

ERA_BLOCKS = 16
"""For how many blocks a signature holds: after that an extrinsic that is in no block never will be."""
SUBMIT_S = 180.0
"""Until a submission is finalized; usually that takes half a minute."""


NEVER_TAKEN = frozenset({"BadProof", "BadSigner", "NoUnsignedValidator", "Payment", "UnknownOrigin"})
"""Why a node takes an extrinsic into no pool, by the SDK's names.

Others only seem to be such: an extrinsic that is outdated or already known may be so because it was taken the first
time, and one that a pool threw out may be in that of another node.
"""


class Fate(Enum):
    """What became of an extrinsic, as far as the answer says."""

    FINALIZED = auto()
    """It is in a finalized block, and did what it should."""
    REFUSED = auto()
    """The node did not take it, or it failed in its block: nothing was changed and nothing will be."""
    UNKNOWN = auto()
    """It may be in a block, now or later, or not: look at the chain."""


@dataclass(frozen=True, slots=True)
class Submission:
    """How it went."""

    fate: Fate
    detail: str = ""


async def submit(
    endpoints: Sequence[str],
    action: Callable[[bt.Client], Awaitable[bt.ExtrinsicResult]],
    *,
    limit_s: float = SUBMIT_S,
) -> Submission:
    """Sends what `action` asks of a client, once, and waits until it is finalized, or not.

    The connection is its own: no nonce is left over from another submission, or for another.
    """
    link = ChainLink(endpoints, answer_s=limit_s)
    try:
        return told(await link.call(lambda node: action(_client(node))))
    except ChainTrouble as trouble:
        return Submission(Fate.UNKNOWN, str(trouble))
    finally:
        await link.close()


def _client(node: Node) -> bt.Client:
    import bittensor as bt

    return bt.Client(node.endpoint, substrate=node)


def told(result: bt.ExtrinsicResult) -> Submission:
    """What the SDK's answer says of the fate, of an extrinsic that was waited for until final. Pure."""
    if result.success:
        return Submission(Fate.FINALIZED)
    name = result.error.name if result.error is not None else None
    refused = result.extrinsic_id is not None or name in NEVER_TAKEN
    return Submission(
        Fate.REFUSED if refused else Fate.UNKNOWN, f"{name}: {result.message}" if name else result.message
    )
