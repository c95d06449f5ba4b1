"""Facts about miners: who is registered, and what each has committed to."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from events.event import Event, Hex256, HotkeyField, Text, UidField, Value


class Commitment(Value):
    """What a miner has promised to serve, and where."""

    repo: Text
    """Hugging Face repository, `user/name`."""
    revision: Text
    endpoint: Text | None
    """Base URL of the policy server; None where it was committed encrypted."""
    sealed_endpoint: Text | None = None
    """As it stands on the chain where it was committed encrypted: only the backend's key opens it (`sealed.py`)."""
    block: Annotated[int, Field(ge=0)]
    """The block of the commitment. It decides who was earlier."""


class _MinerEvent(Event):
    hotkey: HotkeyField
    ordinal: Annotated[int, Field(ge=1)]
    """1, 2, 3, ...: the place of this event in the life of this hotkey."""
    uid: UidField
    block: Annotated[int, Field(ge=0)]
    """The block at which this was seen."""


class MinerDiscovered(_MinerEvent):
    """A hotkey holds a uid and has a valid commitment: the first, or the first after it departed or was rejected."""

    type: ClassVar[str] = "kinitro.miner.discovered"
    schema_version: ClassVar[int] = 2
    commitment: Commitment


class MinerCommitmentChanged(_MinerEvent):
    """A known miner committed to another policy or endpoint."""

    type: ClassVar[str] = "kinitro.miner.commitment_changed"
    schema_version: ClassVar[int] = 2
    commitment: Commitment


class MinerDeparted(_MinerEvent):
    """The hotkey no longer holds this uid, or has no commitment any more."""

    type: ClassVar[str] = "kinitro.miner.departed"


class CommitmentRejection(StrEnum):
    """Why a commitment is not accepted. Closed: a new reason is a new member, here and in the documentation."""

    NO_TEXT = "no_text"
    """It holds no text that could be read: it is empty, a hash, or still locked."""
    TOO_LONG = "too_long"
    """It has more bytes than a commitment may have."""
    NOT_ASCII = "not_ascii"
    """It has a byte that is no printable ASCII character: a space, a line break, an accent."""
    MALFORMED = "malformed"
    """It is not `user/repo:revision:deployment`."""
    BAD_REPO = "bad_repo"
    """The repository's name is none that Hugging Face allows."""
    BAD_REVISION = "bad_revision"
    """The revision is not the beginning of a commit's hash."""
    BAD_DEPLOYMENT = "bad_deployment"
    """The deployment is neither a base URL nor a deployment id."""
    BAD_SEAL = "bad_seal"
    """The encrypted endpoint has not the form of one."""
    CANNOT_OPEN = "cannot_open"
    """The encrypted endpoint was encrypted for another key, or altered."""


class MinerCommitmentRejected(_MinerEvent):
    """A hotkey holds a uid, and its newest commitment is not accepted: it is not evaluated until it commits anew.

    The chain holds the newest commitment only, so what was accepted before no longer counts.
    """

    type: ClassVar[str] = "kinitro.miner.commitment_rejected"
    committed_block: Annotated[int, Field(ge=0)]
    code: CommitmentRejection
    detail: Text
    """What is wrong, and what the miner can do."""
    digest: Hex256
    """SHA-256 of the commitment's bytes, by which another one is told from this."""
