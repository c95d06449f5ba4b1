"""Keys to sign with."""

from __future__ import annotations

from events.keys import SigningKey

FIRST, SECOND, STRANGER = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))
