"""What every event has in common. An event is a fact: past tense, immutable, self-contained, without secrets."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from events.ids import TOKEN, Hotkey, Uid


class Value(BaseModel):
    """A part of an event. Unknown fields and non-finite numbers are refused: JSON would turn NaN into null."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def written(self) -> dict[str, object]:
        """The fields as they stand in the log: all of them, unless a kind says otherwise."""
        return self.__dict__


class Event(Value):
    """A fact. `type` names it for ever; `schema_version` counts up when its fields change (see `codec.py`)."""

    type: ClassVar[str]
    schema_version: ClassVar[int] = 1


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("text contains U+0000, which PostgreSQL cannot store; remove it where the text comes from")
    return text


def _token(text: str) -> str:
    if not TOKEN.fullmatch(text):
        raise ValueError(f"{text!r} is not 1 to 64 letters, digits, '-' or '_'")
    return text


TEXT_MAX = 500

Text = Annotated[str, Field(max_length=TEXT_MAX), AfterValidator(_storable)]
"""Prose for people, at most `TEXT_MAX` characters."""

HotkeyField = Annotated[Hotkey, AfterValidator(_token)]
UidField = Annotated[Uid, Field(ge=0, le=65535)]
Hex256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""32 bytes as lower-case hex: a SHA-256 digest, a block hash without 0x, a secret."""
