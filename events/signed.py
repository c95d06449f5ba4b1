"""Facts that the backend vouches for with its key, so that a mirror can serve them and nobody has to trust it.

A statement is kept as the very text that was signed (see `canonical.py`), beside the facts that it speaks of, which
stand in the log themselves. Signatures are sr25519 over the statement's UTF-8 bytes, by a hotkey named in SS58.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from events.event import Event, HotkeyField, Value
from events.ids import CycleId

Hex512 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
"""64 bytes as lower-case hex."""

STATEMENT_CHARS_MAX = 1_000_000
"""A weights statement has about 120 for each miner."""

Statement = Annotated[str, Field(max_length=STATEMENT_CHARS_MAX)]


class Signature(Value):
    """Who signed, and the proof."""

    key: HotkeyField
    signature: Hex512


class KeyAnnounced(Event):
    """The key with which the backend signs from here on.

    The statement: `kind` "kinitro/key/1", `key`, `ordinal`, and `previous`: the key before it, or null. It is signed
    by the new key, and from the second announcement on by the previous one as well: a lost key cannot be replaced
    in the log, it must be announced anew by other means.
    """

    type: ClassVar[str] = "kinitro.identity.key_announced"
    ordinal: Annotated[int, Field(ge=1)]
    """1, 2, 3, ..."""
    statement: Statement
    signature: Signature
    previous: Signature | None


class RootSigned(Event):
    """How a cycle ended, and with it all cycles up to it.

    The statement: `kind` "kinitro/root/1", `cycle`, `end` ("sealed" or "abandoned"), `first_sequence`,
    `last_sequence`, `tree_size` and `merkle_root` of the seal (null where abandoned), and `history_size` and
    `history_root`: the tree of RFC 6962 whose leaves are the exact bytes of the events that ended cycle 1, 2, ... up
    to this one. Where the plan names a chain, `kind` is "kinitro/root/2", with `genesis` and `netuid`.
    """

    type: ClassVar[str] = "kinitro.cycle.root_signed"
    cycle: Annotated[CycleId, Field(ge=1)]
    statement: Statement
    signature: Signature


class WeightsSigned(Event):
    """The weights of a cycle as validators submit them.

    The statement: `kind` "kinitro/weights/1", `cycle`, `block`, `merkle_root`, and `weights`: for each miner, in the
    order of the plan, `hotkey`, `uid`, `weight` (the exact decimal as text) and `u16`. Where the plan names a chain,
    `kind` is "kinitro/weights/2", with `genesis` and `netuid`.
    """

    type: ClassVar[str] = "kinitro.weights.signed"
    cycle: Annotated[CycleId, Field(ge=1)]
    statement: Statement
    signature: Signature
