"""Exported cycles: whole, scored and signed, with the means to alter them and to make the rest fit again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from bittensor_core import Keypair

from consumers.scoring.copies import Holder, actions_of, copies_found
from consumers.scoring.rates import tally
from consumers.scoring.shadow import shadows
from consumers.scoring.unpaid import Unpaid
from consumers.scoring.weighing import weigh
from events.canonical import Json, canonical
from events.codec import draft
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed, OutcomeCounts
from events.envelope import Envelope, begin
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeForfeited, EpisodeOutcome
from events.event import Event
from events.ids import Hotkey
from events.merkle import MerkleTree
from events.metagraph import SEED_DELAY_BLOCKS, ChainTerms, SlotsChecked
from events.rule_changes import RulesAnnounced
from events.signed import KeyAnnounced, RootSigned, Signature, WeightsSigned
from events.verification import VerificationOutcome, unverified
from events.weights import WeightsComputed
from tests.controls import facts

KEY = Keypair.create_from_uri("//Kinitro-test")
OTHER_KEY = Keypair.create_from_uri("//Kinitro-other")
SOURCE = "/test"


def exported(bodies: Sequence[bytes], *, first: int = 1) -> list[bytes]:
    """The lines of an export of these events, which stand in the log one after the other from `first` on."""
    trailer = {
        "count": len(bodies),
        "first_sequence": first,
        "last_sequence": first + len(bodies) - 1,
        "root": root_of(bodies),
    }
    return [*(body + b"\n" for body in bodies), orjson.dumps({"kinitro_trailer": trailer}) + b"\n"]


def root_of(bodies: Iterable[bytes]) -> str:
    tree = MerkleTree()
    for body in bodies:
        tree.add(body)
    return tree.root().hex()


def key_of(pair: Any) -> Hotkey:
    return Hotkey(str(pair.ss58_address))


def sign(statement: str, pair: Any = KEY) -> Signature:
    return Signature(key=key_of(pair), signature=pair.sign(statement.encode()).hex())


def announced(pair: Any = KEY) -> KeyAnnounced:
    statement = canonical({"kind": "kinitro/key/1", "key": key_of(pair), "ordinal": 1, "previous": None}).decode()
    return KeyAnnounced(ordinal=1, statement=statement, signature=sign(statement, pair), previous=None)


def _kind(name: str, chain: ChainTerms | None) -> dict[str, Json]:
    if chain is None:
        return {"kind": f"kinitro/{name}/1"}
    return {"kind": f"kinitro/{name}/2", "genesis": chain.genesis, "netuid": chain.netuid}


def root_signed(
    end: CycleSealed | CycleAbandoned, body: bytes, pair: Any = KEY, chain: ChainTerms | None = None
) -> RootSigned:
    sealed = end if isinstance(end, CycleSealed) else None
    document: dict[str, Json] = {
        **_kind("root", chain),
        "cycle": end.cycle,
        "end": "sealed" if sealed else "abandoned",
        "first_sequence": sealed.first_sequence if sealed else None,
        "last_sequence": sealed.last_sequence if sealed else None,
        "tree_size": sealed.tree_size if sealed else None,
        "merkle_root": sealed.merkle_root if sealed else None,
        "history_size": end.cycle,
        "history_root": root_of([body]) if end.cycle == 1 else "ab" * 32,
    }
    statement = canonical(document).decode()
    return RootSigned(cycle=end.cycle, statement=statement, signature=sign(statement, pair))


def weights_signed(weights: WeightsComputed, pair: Any = KEY, chain: ChainTerms | None = None) -> WeightsSigned:
    miners = zip(weights.standings, weights.weights_u16.values, strict=True)
    document: dict[str, Json] = {
        **_kind("weights", chain),
        "cycle": weights.cycle,
        "block": weights.block,
        "merkle_root": weights.merkle_root,
        "weights": [{"hotkey": it.hotkey, "uid": it.uid, "weight": it.weight, "u16": u16} for it, u16 in miners],
    }
    statement = canonical(document).decode()
    return WeightsSigned(cycle=weights.cycle, statement=statement, signature=sign(statement, pair))


@dataclass
class Story:
    """A cycle as it is written into a log that begins with the key's announcement, at sequence 1."""

    bodies: list[bytes]

    @classmethod
    def begin(cls, pair: Any) -> Story:
        story = cls([])
        if pair is not None:
            story.bodies.append(draft(begin(announced(pair), source=SOURCE, time=facts.MOMENT)).body)
        return story

    def write(self, event: Event, cause: Envelope[Any] | None = None) -> Envelope[Event]:
        time = facts.MOMENT + timedelta(seconds=len(self.bodies))
        if cause is None:
            envelope: Envelope[Event] = begin(event, source=SOURCE, time=time)
        else:
            envelope = cause.follow(event, source=SOURCE, time=time)
        self.bodies.append(draft(envelope).body)
        return envelope


def cycle_export(
    plan: CyclePlanned,
    outcomes: Sequence[EpisodeOutcome],
    extra: Sequence[Event] = (),
    *,
    signed: bool = True,
    pair: Any = KEY,
    rules: Sequence[RulesAnnounced] = (),
    checked: SlotsChecked | None = None,
    checks: Sequence[VerificationOutcome] = (),
    known: Mapping[str, Holder] | None = None,
) -> list[bytes]:
    """The bodies of the cycle's events: sealed or, below its coverage, abandoned; scored, and signed.

    `rules` were announced before the plan; the spot `checks` and the slots `checked` come before the end.
    Files are `known` from the cycles before.
    """
    story = Story.begin(pair if signed else None)
    for announced in rules:
        story.write(announced)
    first = len(story.bodies) + 1
    planned = story.write(plan)
    if plan.chain is not None:
        uids = tuple(entry.uid for entry in plan.roster)
        story.write(facts.metagraph_recorded(plan.cycle, uids=uids, block=plan.block), planned)
    delay = SEED_DELAY_BLOCKS if plan.chain else 1
    seeded = story.write(facts.seeded(plan.cycle, block=plan.block + delay), planned)
    for event in (*extra, *outcomes):
        story.write(event, seeded)
    for event in (*checks, *([checked] if checked else [])):
        story.write(event, seeded)
    unpaid = Unpaid(frozenset(checked.moved if checked else ()), unverified(plan.verification, checks))
    end = ending(plan, outcomes, story.bodies[first - 1 :], first)
    ended = story.write(end, seeded)
    ended_body = story.bodies[-1]
    weights = weigh(plan, tally(plan, outcomes), end, unpaid)
    weighed = story.write(weights, ended)
    copies = copies_found(plan, actions_of(plan, outcomes), checks, known or {})
    if copies is not None and isinstance(end, CycleSealed):
        story.write(copies, ended)
    for shadow in shadows(plan, tally(plan, outcomes), rules, unpaid):
        story.write(shadow, ended)
    if signed:
        story.write(root_signed(end, ended_body, pair, plan.chain), ended)
        if isinstance(weights, WeightsComputed):
            story.write(weights_signed(weights, pair, plan.chain), weighed)
    return story.bodies


def ending(
    plan: CyclePlanned, outcomes: Sequence[EpisodeOutcome], leaves: Sequence[bytes], first: int
) -> CycleSealed | CycleAbandoned:
    """The true end."""
    kinds = [type(outcome) for outcome in outcomes]
    counts = OutcomeCounts(
        completed=kinds.count(EpisodeCompleted),
        forfeited=kinds.count(EpisodeForfeited),
        abandoned=kinds.count(EpisodeAbandoned),
    )
    if counts.completed + counts.forfeited < plan.rules.coverage_min * plan.episodes_planned:
        return facts.cycle_abandoned(plan.cycle).model_copy(update={"outcomes": counts})
    return CycleSealed(
        cycle=plan.cycle,
        outcomes=counts,
        first_sequence=first,
        last_sequence=first + len(leaves) - 1,
        tree_size=len(leaves),
        merkle_root=root_of(leaves),
        secret=facts.SECRET.hex(),
    )


def document(body: bytes) -> dict[str, Any]:
    """An event's JSON, to be altered and put back by `body_of`."""
    parsed: dict[str, Any] = json.loads(body)
    return parsed


def body_of(altered: dict[str, Any]) -> bytes:
    return orjson.dumps(altered)
