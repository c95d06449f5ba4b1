"""What outsiders need to rely on nobody: the keys, what was signed with them, and proofs about single events."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from api.dependencies import Log, Trees
from api.http.caching import for_good
from api.problems import Problem, documented, not_found
from api.routes.cycles import CyclePath
from api.trees import SealBroken, SealedTree
from events import subjects
from events.codec import decode, decode_as
from events.cycles import CycleSealed
from events.envelope import RecordedEvent
from events.ids import CycleId
from events.log import EventLog, Stored
from events.signed import KeyAnnounced, RootSigned, Signature, WeightsSigned

router = APIRouter(prefix="/v1", tags=["evidence"])

PROOF_TIMEOUT_S = 30.0
"""The first proof of a cycle reads all its events: 100,000 take some seconds."""

S = TypeVar("S", RootSigned, WeightsSigned)


class Signed(BaseModel):
    """A text and its sr25519 signature. `events/signed.py` says what the text contains."""

    statement: Annotated[str, Field(description="the exact text; its UTF-8 bytes were signed")]
    key: Annotated[str, Field(description="SS58")]
    signature: Annotated[str, Field(description="64 bytes, hex")]


class SignedStatement(Signed):
    """What the backend vouches for of one cycle."""

    cycle_id: int
    signed_at: datetime
    event_id: str
    sequence: int

    @classmethod
    def of(cls, recorded: RecordedEvent[RootSigned] | RecordedEvent[WeightsSigned]) -> SignedStatement:
        event = recorded.event
        return cls(
            cycle_id=event.cycle,
            **_fields(event.statement, event.signature),
            signed_at=recorded.time,
            event_id=recorded.id,
            sequence=recorded.sequence,
        )


class KeySignature(BaseModel):
    """By the key before."""

    key: str
    signature: str


class Announcement(Signed):
    """From when on `key` signs: it has signed that itself, and so has the key before it."""

    ordinal: int
    previous: KeySignature | None
    announced_at: datetime
    event_id: str
    sequence: int

    @classmethod
    def of(cls, recorded: RecordedEvent[KeyAnnounced]) -> Announcement:
        event = recorded.event
        return cls(
            ordinal=event.ordinal,
            **_fields(event.statement, event.signature),
            previous=KeySignature(**event.previous.model_dump()) if event.previous else None,
            announced_at=recorded.time,
            event_id=recorded.id,
            sequence=recorded.sequence,
        )


class IdentityAnswer(BaseModel):
    """With which key the backend signs, and how it came to that."""

    key: Annotated[str, Field(description="the one in force, SS58")]
    announcements: Annotated[list[Announcement], Field(description="oldest first")]


class ProofAnswer(BaseModel):
    """That one event is under its cycle's seal: the audit path of RFC 6962, hex, beside the leaf first."""

    sequence: int
    cycle_id: int
    event: Annotated[str, Field(description="the leaf: the event's exact bytes, which are UTF-8")]
    leaf_index: int
    tree_size: int
    path: list[str]
    merkle_root: Annotated[str, Field(description="as the seal and the signed root have it")]


class ConsistencyAnswer(BaseModel):
    """That history was only appended to: the consistency proof of RFC 6962 between two history roots, in hex."""

    cycle_id: int
    since: int
    root: Annotated[str, Field(description="over the ends of cycles 1 to `cycle_id`, as their signed root has it")]
    since_root: Annotated[str, Field(description="over the ends of cycles 1 to `since`")]
    proof: list[str]


@router.get("/identity", responses=documented(404, 503))
async def identity(log: Log) -> IdentityAnswer:
    """The key in force and all announcements that led to it."""

    async def query(events: EventLog) -> list[Announcement]:
        return [
            Announcement.of(decode_as(KeyAnnounced, stored))
            async for batch in events.read(subject=subjects.IDENTITY)
            for stored in batch
        ]

    found = await log.ask(query)
    if not found:
        raise not_found("no-key", "the backend has announced no key yet; its scheduler does when it starts")
    return IdentityAnswer(key=found[-1].key, announcements=found)


@router.get("/cycles/{cycle_id}/root", responses=documented(404, 422, 503))
async def signed_root(cycle_id: CyclePath, log: Log, response: Response) -> SignedStatement:
    """How the cycle ended, its Merkle root, and the root over the ends of all cycles up to it, signed."""
    for_good(response)
    return await log.ask(lambda events: _signed(events, RootSigned, cycle_id, subjects.signed_root(cycle_id)))


@router.get("/cycles/{cycle_id}/root/consistency", responses=documented(404, 409, 422, 500, 503))
async def consistency(
    cycle_id: CyclePath,
    since: Annotated[CycleId, Query(ge=1, lt=2**63, description="an earlier cycle, or the same")],
    log: Log,
    trees: Trees,
    response: Response,
) -> ConsistencyAnswer:
    """The proof that the history up to a cycle begins with that up to an earlier one."""
    if since > cycle_id:
        raise Problem(
            422, "invalid-request", "Invalid request", f"since: at most {cycle_id} is expected, not {since}"
        )
    try:
        found = await log.ask(lambda events: trees.history.consistency(events, since, cycle_id))
    except SealBroken as error:
        raise Problem(500, "evidence-broken", "Evidence broken", str(error)) from error
    if found is None:
        raise await log.ask(lambda events: _unended(events, cycle_id))
    for_good(response)
    return ConsistencyAnswer(
        cycle_id=cycle_id,
        since=since,
        root=found.root.hex(),
        since_root=found.since_root.hex(),
        proof=[node.hex() for node in found.proof],
    )


@router.get("/cycles/{cycle_id}/weights/signed", responses=documented(404, 422, 503))
async def signed_weights(cycle_id: CyclePath, log: Log, response: Response) -> SignedStatement:
    """The weights of the cycle, signed. A cycle that gives none has none to sign."""
    for_good(response)
    return await log.ask(lambda events: _signed(events, WeightsSigned, cycle_id, subjects.signed_weights(cycle_id)))


@router.get("/events/{sequence}/proof", responses=documented(404, 409, 422, 500, 503))
async def proof(
    sequence: Annotated[int, Path(ge=1, lt=2**63)], log: Log, trees: Trees, response: Response
) -> ProofAnswer:
    """The proof that an event is under the seal of its cycle, once that is sealed."""
    stored, seal = await log.ask(lambda events: _sealed(events, sequence))
    try:
        tree = await log.ask(lambda events: trees.of(events, seal), timeout_s=PROOF_TIMEOUT_S)
    except SealBroken as error:
        raise Problem(500, "evidence-broken", "Evidence broken", str(error)) from error
    for_good(response)
    return _proof(stored, seal, tree)


async def _signed(events: EventLog, kind: type[S], cycle: CycleId, subject: str) -> SignedStatement:
    stored = await events.last(subject)
    if stored is not None:
        return SignedStatement.of(decode_as(kind, stored))
    if await events.last(subjects.plan(cycle)) is None:
        raise not_found("unknown-cycle", f"there is no cycle {cycle}")
    raise not_found("not-signed", f"there is no {kind.type} of cycle {cycle}, or not yet: its status says which")


async def _unended(events: EventLog, cycle: CycleId) -> Problem:
    if await events.last(subjects.plan(cycle)) is None:
        return not_found("unknown-cycle", f"there is no cycle {cycle}")
    return Problem(409, "cycle-not-ended", "Not available", f"cycle {cycle} has not ended; wait for it")


async def _sealed(events: EventLog, sequence: int) -> tuple[Stored, CycleSealed]:
    """An event of a cycle that is sealed, and the seal."""
    stored = await events.at(sequence) if sequence <= await events.last_sequence() else None
    if stored is None:
        raise not_found("unknown-event", f"there is no event at sequence {sequence}")
    match stored.subject.split("."):
        case ["evt", "cycle", number, *_]:
            cycle = CycleId(int(number))
        case _:
            raise not_found("not-sealed", f"the event at {sequence} ({stored.subject}) belongs to no cycle's seal")
    ended = await events.last(subjects.seal(cycle))
    if ended is None:
        raise Problem(
            409, "not-yet-sealed", "Not yet sealed", f"cycle {cycle} has not ended: proofs come with its seal"
        )
    seal = decode(ended).event
    if not isinstance(seal, CycleSealed):
        raise not_found("not-sealed", f"cycle {cycle} was abandoned: nothing is under a seal")
    return stored, seal


def _proof(stored: Stored, seal: CycleSealed, tree: SealedTree) -> ProofAnswer:
    index = tree.index(stored.sequence)
    if index is None:
        raise not_found(
            "not-sealed", f"the event at {stored.sequence} came after what cycle {seal.cycle}'s seal covers"
        )
    return ProofAnswer(
        sequence=stored.sequence,
        cycle_id=seal.cycle,
        event=stored.body.decode(),
        leaf_index=index,
        tree_size=tree.prover.size,
        path=[node.hex() for node in tree.prover.inclusion(index)],
        merkle_root=tree.prover.root.hex(),
    )


def _fields(statement: str, signature: Signature) -> dict[str, str]:
    return {"statement": statement, "key": signature.key, "signature": signature.signature}
