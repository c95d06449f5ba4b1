"""Bytes <-> events. What is in the log is read for ever: older versions are upcast, an unknown type is loud.

CodecError
├── UnknownEventType    a type, or a version newer than this program
└── MalformedEvent      not a CloudEvents document of ours, or fields that do not fit
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from events import upcasts
from events.anchors import RootAnchored
from events.copies import CopiesFound
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed, CycleSeeded
from events.discovery import DiscoveryDegraded, DiscoveryRestored
from events.envelope import Envelope, RecordedEvent
from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited
from events.event import Event, Value
from events.for_people import ForPeople
from events.log import Draft, Stored
from events.metagraph import MetagraphRecorded, SlotsChecked
from events.miners import MinerCommitmentChanged, MinerCommitmentRejected, MinerDeparted, MinerDiscovered
from events.rule_changes import RulesAnnounced, ShadowScored
from events.signed import KeyAnnounced, RootSigned, WeightsSigned
from events.subjects import subject_of
from events.verification import VerificationFailed, VerificationInconclusive, VerificationPassed
from events.weights import WeightsComputed, WeightsWithheld

F = TypeVar("F", bound=Event)

TYPES: dict[str, type[Event]] = {
    cls.type: cls
    for cls in (
        MinerDiscovered,
        MinerCommitmentChanged,
        MinerCommitmentRejected,
        MinerDeparted,
        CyclePlanned,
        MetagraphRecorded,
        CycleSeeded,
        VerificationPassed,
        VerificationFailed,
        VerificationInconclusive,
        SlotsChecked,
        CycleSealed,
        CycleAbandoned,
        EpisodeCompleted,
        EpisodeForfeited,
        EpisodeAttemptFailed,
        EpisodeAbandoned,
        WeightsComputed,
        WeightsWithheld,
        KeyAnnounced,
        RootSigned,
        WeightsSigned,
        RootAnchored,
        RulesAnnounced,
        ShadowScored,
        CopiesFound,
        DiscoveryDegraded,
        DiscoveryRestored,
    )
}

UPCASTS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {
    (MinerDiscovered.type, 1): upcasts.in_the_clear,
    (MinerCommitmentChanged.type, 1): upcasts.in_the_clear,
    (CyclePlanned.type, 1): upcasts.plan_1,
    (CyclePlanned.type, 2): upcasts.plan_2,
    (CyclePlanned.type, 3): upcasts.plan_3,
    (CyclePlanned.type, 4): upcasts.plan_4,
    (CyclePlanned.type, 5): upcasts.plan_5,
    (EpisodeCompleted.type, 1): upcasts.completed_1,
    (EpisodeForfeited.type, 1): upcasts.forfeited_1,
    (EpisodeAttemptFailed.type, 1): upcasts.attempt_failed_1,
}
"""(type, old version) -> a function from the old `data` to that of the next version."""


class CodecError(ForPeople):
    """These bytes are not an event that this program can read."""


class UnknownEventType(CodecError):
    """The log holds an event that a newer program wrote; upgrade this one."""


class MalformedEvent(CodecError):
    """The log holds something that is no event of ours, or was altered."""


def draft(envelope: Envelope[Event], *, log_ends_at: int | None = None) -> Draft:
    """The event as it will stand in the log, expecting its subject to be empty, and the log's end as in `Draft`."""
    subject = subject_of(envelope.event)
    return Draft(subject, envelope.id, encode(envelope, subject), log_ends_at=log_ends_at)


def encode(envelope: Envelope[Event], subject: str) -> bytes:
    """The CloudEvents document described in `envelope.py`."""
    event = envelope.event
    if envelope.time.tzinfo is not UTC:
        raise ValueError(f"{subject}: time {envelope.time.isoformat()} is not in UTC: use datetime.now(UTC)")
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": envelope.id,
        "source": envelope.source,
        "type": event.type,
        "schemaversion": event.schema_version,
        "subject": subject,
        "time": envelope.time,
        "datacontenttype": "application/json",
        "correlationid": envelope.correlation,
    }
    if envelope.causation is not None:
        document["causationid"] = envelope.causation
    document["data"] = event
    return orjson.dumps(document, default=_plain, option=orjson.OPT_UTC_Z)


def _plain(value: object) -> object:
    """What orjson cannot write by itself. Twice as fast as asking pydantic, and the same bytes."""
    if isinstance(value, Value):
        return value.written()
    if isinstance(value, BaseModel):
        return value.__dict__
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot stand in an event")


def decode(stored: Stored) -> RecordedEvent[Event]:
    """What the log gave back, as an event.

    Raises:
        UnknownEventType: its type or version is not known here.
        MalformedEvent: it cannot be read.
    """
    try:
        document = orjson.loads(stored.body)
        cls, version = _class_of(document["type"], document["schemaversion"], stored.sequence)
        _check_attributes(document, stored.subject)
        data = document["data"]
        if version < cls.schema_version:
            data = _upcast(cls, version, data)
        envelope = Envelope(
            id=document["id"],
            source=document["source"],
            time=_moment(document["time"]),
            correlation=document["correlationid"],
            causation=document.get("causationid"),
            event=cls.__pydantic_validator__.validate_python(data),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedEvent(
            f"event at sequence {stored.sequence} ({stored.subject}) cannot be read: {told(error)}"
        ) from error
    return RecordedEvent(stored.sequence, stored.subject, stored.body, envelope)


def decode_as(kind: type[F], stored: Stored) -> RecordedEvent[F]:
    """`decode`, where only one kind of event can stand at this subject.

    Raises:
        MalformedEvent: it is of another kind.
    """
    recorded = decode(stored)
    if not isinstance(recorded.event, kind):
        raise MalformedEvent(
            f"event at sequence {stored.sequence} ({stored.subject}) is a {recorded.event.type}, expected {kind.type}"
        )
    return recorded  # type: ignore[return-value]  # the check above narrows the payload, not the wrapper


def told(error: BaseException) -> str:
    """Why something is no event, on one line: a model that refuses fields tells each on three."""
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    found = error.errors(include_url=False)
    first, more = found[0], len(found) - 1
    place = ".".join(("data", *map(str, first["loc"])))
    return f"{place}: {first['msg']}, found {first['input']!r:.100}" + (f"; and {more} more" if more else "")


def _class_of(name: str, version: int, sequence: int) -> tuple[type[Event], int]:
    cls = TYPES.get(name)
    if cls is None:
        raise UnknownEventType(f"event at sequence {sequence} has type {name!r}, unknown here: upgrade this program")
    if version > cls.schema_version:
        raise UnknownEventType(
            f"event at sequence {sequence} is {name} version {version}, this program knows up to"
            f" {cls.schema_version}: upgrade it"
        )
    return cls, version


def _check_attributes(document: dict[str, Any], subject: str) -> None:
    if document["specversion"] != "1.0":
        raise ValueError(f"specversion {document['specversion']!r}, expected '1.0'")
    if document["subject"] != subject:
        raise ValueError(f"subject {document['subject']!r}, expected the one at which it stands")
    for name in ("id", "source", "correlationid"):
        if type(document[name]) is not str:
            raise TypeError(f"{name} {document[name]!r}, expected text")
    if type(document.get("causationid", "")) is not str:
        raise TypeError(f"causationid {document['causationid']!r}, expected text or none")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not UTC:
        raise ValueError(f"time {text!r}, expected UTC")
    return moment


def _upcast(cls: type[Event], version: int, data: dict[str, Any]) -> dict[str, Any]:
    for old in range(version, cls.schema_version):
        data = UPCASTS[cls.type, old](data)
    return data
