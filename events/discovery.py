"""Facts about discovery itself: when the chain could not be read, and from when on it could be again."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from events.event import Event, Text


class DegradedCode(StrEnum):
    """Why the chain cannot be read. Closed: a new reason is a new member, here and in the documentation."""

    NO_CONNECTION = "no_connection"
    """No node answers."""
    STATE_PRUNED = "state_pruned"
    """The node no longer has the state of the block."""
    REORGANISED = "reorganised"
    """The block that was read does not stay in the node's chain."""
    RUNTIME_UNSUITED = "runtime_unsuited"
    """The chain's runtime lacks what is read, or says it in another form."""
    NODE_REFUSED = "node_refused"
    """The node answers with an error of its own."""
    NO_SUBNET = "no_subnet"
    """There is no such netuid."""
    OTHER_CHAIN = "other_chain"
    """The node serves another chain than the one before."""
    STALE = "stale"
    """The log knows a later block than the node."""


class _DiscoveryEvent(Event):
    ordinal: Annotated[int, Field(ge=1)]
    """1, 2, 3, ...: the place among these events."""


class DiscoveryDegraded(_DiscoveryEvent):
    """Miners can no longer be read from the chain: what is known of them stays, and no new cycle is planned."""

    type: ClassVar[str] = "kinitro.discovery.degraded"
    code: DegradedCode
    detail: Text
    """What is wrong, and what the operator can do. Of a node it names scheme, host and port."""


class DiscoveryRestored(_DiscoveryEvent):
    """Miners are read from the chain again."""

    type: ClassVar[str] = "kinitro.discovery.restored"
    block: Annotated[int, Field(ge=0)]
    """The finalized block that was read."""
