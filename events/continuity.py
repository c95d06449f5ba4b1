"""Whether the log is still the one that was read and written before the connection was lost.

A log can come back with less than it had: restored from a backup, or with a file cut off. By the time somebody looks,
others may have appended so much that it is longer than ever. So not its length is compared, but the newest event that
was seen here, byte for byte.
"""

from __future__ import annotations

from events import lookup
from events.connection import Connection, Refused
from events.log import LogDamaged, Stored
from events.patience import Patience

CATCH_UP_S = 10.0
"""How long a new leader may take to know all that an earlier one has delivered."""


class Continuity:
    """What one reader and writer of the log remembers of it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._losses = connection.losses
        """How often the connection had been lost when the log was last known to be the same."""
        self._newest: Stored | None = None

    def saw(self, stored: Stored) -> None:
        """Takes an event that was delivered, or appended and acknowledged."""
        if self._newest is None or stored.sequence > self._newest.sequence:
            self._newest = stored

    async def confirm(self) -> None:
        """Looks whether the newest event is still there, if the connection was lost since this was last known.

        Raises:
            LogDamaged: it is not. Whatever was concluded from what was seen is to be thrown away.
            NoAnswer: it could not be learned now.
            LogUnavailable, StreamMismatch: JetStream refuses to tell, or there is no such stream.
        """
        losses, ours = self._connection.losses, self._newest
        if ours is None or losses == self._losses:
            return
        theirs = await self._found(ours.sequence)
        if theirs != ours:
            there = "nothing" if theirs is None else f"{theirs.subject}, another event"
            raise LogDamaged(
                f"at sequence {ours.sequence} the log holds {there}, where {ours.subject} was seen already: it was"
                " restored from a backup, or has lost its end; restore the right one, or start this process again to"
                " go on with this one"
            )
        self._losses = losses

    async def _found(self, sequence: int) -> Stored | None:
        patience = Patience(CATCH_UP_S)
        while True:
            try:
                found = await lookup.message(self._connection, {"seq": sequence})
            except Refused as error:
                raise lookup.refusal(error) from error
            if found is not None:
                return found.stored
            if not await patience.pause():
                return None
