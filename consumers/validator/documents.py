"""What a backend says of its newest weights, and whether it follows from what is signed and from the events. Pure.

Nothing here is taken on trust. The answer of `GET /v1/weights/latest` is made again from the event, and compared;
the statement must be signed by the pinned key, or by one that the pinned one announced.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consumers.validator.checks import Refusal
from events import statements
from events.envelope import RecordedEvent
from events.event import HotkeyField
from events.ids import CycleId, Hotkey
from events.signed import Hex512, KeyAnnounced, Signature, Statement, WeightsSigned
from events.weights import WeightsComputed

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)")
_ETAG_OF_BYTES = re.compile(r'"[0-9a-f]{64}"')


class Document(BaseModel):
    """A part of an answer; fields that are not known here are newer than this program, and do no harm."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class SignedWeights(Document):
    """`GET /v1/cycles/{id}/weights/signed`."""

    cycle_id: Annotated[int, Field(ge=1)]
    statement: Statement
    key: HotkeyField
    signature: Hex512
    event_id: str
    sequence: Annotated[int, Field(ge=1)]
    signed_at: str

    @property
    def by(self) -> Signature:
        return Signature(key=self.key, signature=self.signature)


class PreviousKey(Document):
    key: HotkeyField
    signature: Hex512


class Announcement(Document):
    """One of `GET /v1/identity`."""

    ordinal: Annotated[int, Field(ge=1)]
    statement: Statement
    key: HotkeyField
    signature: Hex512
    previous: PreviousKey | None

    @property
    def event(self) -> KeyAnnounced:
        before = self.previous
        return KeyAnnounced(
            ordinal=self.ordinal,
            statement=self.statement,
            signature=Signature(key=self.key, signature=self.signature),
            previous=Signature(key=before.key, signature=before.signature) if before else None,
        )


class Identity(Document):
    """`GET /v1/identity`."""

    announcements: Annotated[list[Announcement], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Answer:
    """`GET /v1/weights/latest`: the bytes, and what they say."""

    cycle: CycleId
    fields: dict[str, Any]
    digest: str
    """SHA-256 of the bytes."""


@dataclass(frozen=True, slots=True)
class Events:
    """The events of a cycle that the documents speak of, audited."""

    weights: RecordedEvent[WeightsComputed]
    signed: RecordedEvent[WeightsSigned]
    signed_from: int
    """The sequences between which `signed` stands in the log. Where it ends the export they are the same."""
    signed_to: int


@dataclass(frozen=True, slots=True)
class Subnet:
    """For which chain and subnet weights are wanted."""

    genesis: str
    """Hash of its first block: 32 bytes as lower-case hex."""
    netuid: int


def parse_answer(body: bytes, etag: str | None) -> Answer:
    """The answer, whole.

    Raises:
        Refusal: it is not what a backend of ours sends, or not as it was sent.
    """
    digest = hashlib.sha256(body).hexdigest()
    if etag is not None and _ETAG_OF_BYTES.fullmatch(etag) and etag != f'"{digest}"':
        raise Refusal(f"the newest weights came with the ETag {etag}, their bytes have {digest}: altered on the way")
    try:
        fields = orjson.loads(body)
        cycle = fields["cycle_id"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Refusal(f"the newest weights are not as our API sends them: {type(error).__name__}: {error}") from error
    if not isinstance(cycle, int) or cycle < 1:
        raise Refusal(f"the newest weights are of cycle {cycle!r}, expected 1 or more")
    return Answer(CycleId(cycle), fields, digest)


def parse_signed(body: bytes) -> SignedWeights:
    """The signed statement.

    Raises:
        Refusal: it is not what a backend of ours sends.
    """
    try:
        return SignedWeights.model_validate_json(body)
    except ValidationError as error:
        raise Refusal(f"the signed weights are not as our API sends them: {_first(error)}") from error


def trusted_keys(identity: bytes, pinned: Hotkey) -> tuple[Hotkey, ...]:
    """The pinned key and those that it announced, one after the other.

    Raises:
        Refusal: the announcements do not lead to the pinned key.
        StatementError: they do not follow from each other.
    """
    try:
        announced = [each.event for each in Identity.model_validate_json(identity).announcements]
    except ValidationError as error:
        raise Refusal(f"the backend's identity is not as our API sends it: {_first(error)}") from error
    keys = statements.check_identity(announced)
    if pinned not in keys:
        raise Refusal(
            f"--backend-key {pinned} is none of the backend's keys, {', '.join(keys)}; if the operator confirms one"
            " of them by other means than this backend, give that"
        )
    return keys[keys.index(pinned) :]


def check_statement(signed: SignedWeights, cycle: CycleId, keys: Sequence[Hotkey], subnet: Subnet) -> str:
    """Whether one of `keys` has signed weights of this cycle, for this subnet if it names one.

    Raises:
        Refusal, StatementError: it has not.
    """
    if signed.key not in keys:
        raise Refusal(f"cycle {cycle} is signed by {signed.key}, expected {' or '.join(keys)}")
    statements.check(signed.statement, signed.by)
    try:
        said = orjson.loads(signed.statement)
        told = said["cycle"]
        place = {name: said[name] for name in ("genesis", "netuid") if name in said}
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Refusal(f"the signed weights are no statement: {type(error).__name__}: {error}") from error
    if told != cycle or signed.cycle_id != cycle:
        raise Refusal(f"the newest weights are of cycle {cycle}, signed are those of {told!r}, as {signed.cycle_id}")
    if place and place != {"genesis": subnet.genesis, "netuid": subnet.netuid}:
        raise Refusal(f"signed for {place}, expected genesis {subnet.genesis} and netuid {subnet.netuid}")
    return f"cycle {cycle}, signed by {signed.key}"


def check_answer(answer: Answer, signed: SignedWeights, events: Events) -> str:
    """Whether both documents say what the audited events say.

    Raises:
        Refusal: which field does not.
    """
    weights = events.weights
    _compare("the newest weights", _answer_of(weights), _with_moments(answer.fields))
    found = signed.model_dump() | {"signed_at": _moment(signed.signed_at)}
    _compare("the signed weights", _signed_of(events.signed), found)
    if not events.signed_from <= signed.sequence <= events.signed_to:
        expected = f"{events.signed_from} to {events.signed_to}, as the export has it"
        raise Refusal(f"the signed weights, sequence: expected {expected}, found {signed.sequence}")
    sequence = answer.fields["metadata"].get("sequence")
    if not isinstance(sequence, int) or not 0 < sequence < signed.sequence:
        raise Refusal(f"the newest weights, sequence: expected one before {signed.sequence}, found {sequence!r}")
    return f"event {weights.id}, {sum(map(bool, weights.event.weights_u16.values))} miners get weight"


def _answer_of(recorded: RecordedEvent[WeightsComputed]) -> dict[str, Any]:
    weights = recorded.event
    exact = {str(each.uid): each.weight for each in weights.standings}
    return {
        "cycle_id": weights.cycle,
        "block": weights.block,
        "block_number": weights.block,
        "created_at": recorded.time,
        "timestamp": recorded.time,
        "weights": {uid: float(weight) for uid, weight in exact.items()},
        "weights_u16": {"uids": [*weights.weights_u16.uids], "values": [*weights.weights_u16.values]},
        "metadata": {"weights_exact": exact, "merkle_root": weights.merkle_root, "event_id": recorded.id},
    }


def _signed_of(recorded: RecordedEvent[WeightsSigned]) -> dict[str, Any]:
    event = recorded.event
    return {
        "cycle_id": event.cycle,
        "statement": event.statement,
        "key": event.signature.key,
        "signature": event.signature.signature,
        "event_id": recorded.id,
        "signed_at": recorded.time,
    }


def _with_moments(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {name: _moment(fields.get(name)) for name in ("created_at", "timestamp")}


def _moment(text: Any) -> datetime | None:
    """None where it is not the one way in which our API writes it: Python reads many."""
    try:
        return datetime.fromisoformat(text) if _MOMENT.fullmatch(text) else None
    except (ValueError, TypeError):
        return None


def _compare(what: str, expected: dict[str, Any], found: Any) -> None:
    """Every expected field is there. Others are newer than this program."""
    for name, value in expected.items():
        there = found.get(name) if isinstance(found, dict) else None
        if name == "metadata":
            _compare(f"{what}, {name}", value, there)
        elif there != value or type(there) is not type(value):
            raise Refusal(f"{what}, {name}: expected {value!s:.300}, found {there!s:.300}")


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the text'}: {first['msg']}"
