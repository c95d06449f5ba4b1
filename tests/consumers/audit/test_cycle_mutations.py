"""A cycle's export, altered in every way that we could think of: the audit names each, and none passes.

Three forgers. The careless one alters a line. The careful one makes the trailer fit again. The thorough one makes the
seal, the weights and the statements fit as well, and lacks only the key; the auditor knows that.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import pytest

from consumers.audit.cycle.verdicts import Name
from events.cycles import CyclePlanned
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeForfeited, EpisodeOutcome
from events.metagraph import SlotsChecked
from tests.controls import facts
from tests.controls.exports import (
    KEY,
    OTHER_KEY,
    body_of,
    cycle_export,
    document,
    exported,
    key_of,
    root_of,
)
from tests.controls.mutations import altered, differing, leaves, put
from tests.controls.sealed_cycles import outcomes_of, outcomes_where

PLAN = facts.planned(1)
OUTCOMES: list[EpisodeOutcome] = [
    *outcomes_of(PLAN)[:6],
    facts.forfeited(outcomes_of(PLAN)[6].key),
    facts.abandoned(outcomes_of(PLAN)[7].key),
]
BODIES = cycle_export(PLAN, OUTCOMES, [facts.attempt_failed(OUTCOMES[7].key)])
LAST = len(BODIES) - 1
ANNOUNCED, PLANNED, SEEDED, ATTEMPT, FIRST_OUTCOME = 0, 1, 2, 3, 4
SEALED, WEIGHED, ROOT_SIGNED, WEIGHTS_SIGNED = LAST - 3, LAST - 2, LAST - 1, LAST

Bodies = Sequence[bytes]

UNVOUCHED = {
    ANNOUNCED: {"time", "source"},
    WEIGHED: {"source"},
    ROOT_SIGNED: {"id", "source"},
    WEIGHTS_SIGNED: {"id", "source"},
}
"""Attributes that nothing rests on, and that nobody signs, because they stand around what is signed."""


class Mutation(NamedTuple):
    what: str
    bodies: Bodies
    names: frozenset[Name] = frozenset()
    """The checks that must differ. None: any may."""


def failing(lines: Sequence[bytes], *, pinned: bool = True) -> set[Name]:
    """The checks that differ."""
    return differing(PLAN.cycle, lines, key_of(KEY) if pinned else None)


def replaced(place: int, body: bytes, bodies: Bodies = BODIES) -> list[bytes]:
    return [*bodies[:place], body, *bodies[place + 1 :]]


def of_lines() -> Iterator[Mutation]:
    for place in range(len(BODIES)):
        yield Mutation(f"drop {place}", [*BODIES[:place], *BODIES[place + 1 :]])
        yield Mutation(f"double {place}", [*BODIES[: place + 1], *BODIES[place:]])
        yield Mutation(f"double {place} at the end", [*BODIES, BODIES[place]])
        if place < LAST:
            swapped = [BODIES[place + 1], BODIES[place]]
            yield Mutation(f"swap {place} and the next", [*BODIES[:place], *swapped, *BODIES[place + 2 :]])
        if place > 1:
            yield Mutation(f"{place} first", [BODIES[place], *BODIES[:place], *BODIES[place + 1 :]])


def of_fields() -> Iterator[tuple[int, str, Mutation]]:
    """The line, the attribute of the envelope, and the mutation."""
    for place, body in enumerate(BODIES):
        for path, value in leaves(document(body)):
            for other in altered(value):
                what = f"{place} {'.'.join(map(str, path))} = {str(other)[:40]}"
                yield place, path[0], Mutation(what, replaced(place, put(body, path, other)))


LINES = list(of_lines())
FIELDS = list(of_fields())


def test_there_are_more_than_five_hundred_mutations() -> None:
    assert len(LINES) + len(FIELDS) + len(list(forged())) > 500
    assert failing(exported(BODIES)) == set()


def test_who_does_not_mend_the_trailer_is_told_so() -> None:
    trailer = exported(BODIES)[-1]
    for mutation in [*LINES, *(mutation for _, _, mutation in FIELDS)]:
        lines = [*(body + b"\n" for body in mutation.bodies), trailer]
        assert Name.EXPORT in failing(lines), mutation.what


@pytest.mark.parametrize("pinned", [True, False])
def test_who_drops_doubles_or_moves_lines_and_mends_the_trailer_is_caught(pinned: bool) -> None:
    for mutation in LINES:
        assert failing(exported(mutation.bodies), pinned=pinned) - {Name.EXPORT}, mutation.what


def test_who_changes_a_field_and_mends_the_trailer_is_caught() -> None:
    for place, attribute, mutation in FIELDS:
        found = failing(exported(mutation.bodies))
        assert found or attribute in UNVOUCHED.get(place, set()), mutation.what
        assert Name.EXPORT not in found, mutation.what


def test_what_is_said_to_be_unvouched_for_is() -> None:
    """The list is no excuse for what could be caught."""
    passing = {(place, attribute) for place, attribute, mutation in FIELDS if not failing(exported(mutation.bodies))}
    assert passing == {(place, attribute) for place, attributes in UNVOUCHED.items() for attribute in attributes}


@pytest.mark.parametrize("place", [WEIGHED, ROOT_SIGNED, WEIGHTS_SIGNED])
def test_an_effect_before_its_cause_is_caught_and_a_clock_that_is_a_little_late_is_not(place: int) -> None:
    moment = datetime.fromisoformat(document(BODIES[place])["time"])
    for minutes, names in ((9, set()), (11, {Name.PLAN})):
        earlier = (moment - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
        found = failing(exported(replaced(place, put(BODIES[place], ("time",), earlier))))
        assert found == names, minutes


def test_what_is_under_the_root_is_covered_by_it_to_the_last_byte() -> None:
    """Worker, duration, latency, detail: what no score depends on is evidence all the same."""
    for place, _, mutation in FIELDS:
        found = failing(exported(mutation.bodies))
        if PLANNED <= place < SEALED and Name.EVENTS not in found:
            assert Name.ROOT in found, mutation.what
        if place == SEALED and Name.EVENTS not in found:
            assert Name.SIGNATURE in found, mutation.what


def respelled(body: bytes) -> Iterator[tuple[str, bytes]]:
    """The same event to this program, and perhaps another one to whoever reads it with another."""
    read = document(body)
    kind, lie = read["type"].encode(), b'"data":{"cycle":9},"data":{'
    yield "spaces", json.dumps(read).encode()
    yield "a space at the end", body + b" "
    yield "a carriage return", body + b"\r"
    yield "other order", body_of(dict(reversed(read.items())))
    yield "an escape", body.replace(kind, b"\\u006b" + kind[1:], 1)
    yield "data twice", body.replace(b'"data":{', lie, 1)
    yield "time in another form", body.replace(b'Z","datacontenttype"', b'+00:00","datacontenttype"', 1)
    yield "an attribute that nobody knows", body_of({**read, "comment": "x"})
    yield "another kind of version", body_of({**read, "schemaversion": True})


def lenient() -> Iterator[tuple[str, bytes]]:
    """Values of another kind that reading would take for the right ones."""
    yield (
        "a number as text",
        BODIES[WEIGHED].replace(b'"block":', b'"block":"', 1).replace(b',"merkle', b'","merkle', 1),
    )
    yield "text for false", BODIES[WEIGHED].replace(b'"on_frontier":false', b'"on_frontier":"no"', 1)


@pytest.mark.parametrize("place", range(len(BODIES)))
def test_an_event_that_is_spelled_otherwise_is_caught(place: int) -> None:
    caught_by = {Name.ROOT} if PLANNED <= place < SEALED else {Name.EVENTS}
    for what, body in respelled(BODIES[place]):
        assert body != BODIES[place], what
        assert caught_by <= failing(exported(replaced(place, body))), what


def test_values_that_would_be_read_as_the_right_ones_are_caught() -> None:
    for what, body in lenient():
        assert body != BODIES[WEIGHED], what
        assert failing(exported(replaced(WEIGHED, body))) == {Name.EVENTS}, what


# The thorough forger: all fits, but the signatures.


def retold(plan: CyclePlanned, outcomes: Sequence[EpisodeOutcome]) -> list[bytes]:
    """The story once more, true but for what was changed; the signatures are those of the true one."""
    bodies = cycle_export(plan, outcomes, [facts.attempt_failed(OUTCOMES[7].key)])
    story = {place: document(body) for place, body in enumerate(bodies)}
    for place in (ANNOUNCED, ROOT_SIGNED, WEIGHTS_SIGNED):
        story[place]["data"] = document(BODIES[place])["data"]
    return [body_of(story[place]) for place in sorted(story)]


def other_outcomes() -> Iterator[tuple[str, list[EpisodeOutcome]]]:
    for place, outcome in enumerate(OUTCOMES):
        for what, other in other_endings(outcome):
            yield f"{place} {what}", [*OUTCOMES[:place], other, *OUTCOMES[place + 1 :]]


def other_endings(outcome: EpisodeOutcome) -> Iterator[tuple[str, EpisodeOutcome]]:
    match outcome:
        case EpisodeCompleted():
            yield "reversed", facts.completed(outcome.key, success=not outcome.success)
            yield "forfeited", facts.forfeited(outcome.key)
            yield "abandoned", facts.abandoned(outcome.key)
            for field, value in (("worker", "w"), ("steps", 7), ("total_reward", 0.5), ("duration_s", 9.0)):
                yield field, outcome.model_copy(update={field: value})
        case EpisodeForfeited() | EpisodeAbandoned():
            yield "completed", facts.completed(outcome.key)
            yield "detail", outcome.model_copy(update={"detail": "other"})


def other_plans() -> Iterator[tuple[str, CyclePlanned]]:
    rules = PLAN.rules
    for name, value in (("temperature", "2"), ("epsilon_factor", "3"), ("threshold_z", "2"), ("gap_max", "0.2")):
        changed = type(rules).model_validate({**rules.model_dump(), name: value})
        yield f"rules.{name}", PLAN.model_copy(update={"rules": changed})
    yield "block", PLAN.model_copy(update={"block": PLAN.block + 1})
    yield "deadline", PLAN.model_copy(update={"deadline_s": 1})
    roster = [entry.model_copy(update={"commitment": facts.commitment(entry.uid, block=99)}) for entry in PLAN.roster]
    yield "commitments", PLAN.model_copy(update={"roster": tuple(roster)})


def forged() -> Iterator[Mutation]:
    signature = frozenset({Name.SIGNATURE})
    for what, outcomes in other_outcomes():
        yield Mutation(f"outcome {what}", retold(PLAN, outcomes), signature)
    for what, plan in other_plans():
        yield Mutation(f"plan {what}", retold(plan, OUTCOMES), signature)
    yield from forged_signatures()
    yield from forged_weights()
    yield from foreign_events()


def forged_signatures() -> Iterator[Mutation]:
    for place in (ANNOUNCED, ROOT_SIGNED, WEIGHTS_SIGNED):
        signature = document(BODIES[place])["data"]["signature"]["signature"]
        for digit in range(0, len(signature), 4):
            flipped = f"{signature[:digit]}{int(signature[digit], 16) ^ 1:x}{signature[digit + 1 :]}"
            body = put(BODIES[place], ("data", "signature", "signature"), flipped)
            yield Mutation(f"{place} signature digit {digit}", replaced(place, body), frozenset({Name.SIGNATURE}))
        body = put(BODIES[place], ("data", "signature", "key"), key_of(OTHER_KEY))
        yield Mutation(f"{place} key", replaced(place, body), frozenset({Name.SIGNATURE}))
    unsigned = [body for place, body in enumerate(BODIES) if place not in (ROOT_SIGNED, WEIGHTS_SIGNED)]
    yield Mutation("no signatures", unsigned, frozenset({Name.SIGNATURE}))


def forged_weights() -> Iterator[Mutation]:
    weights = document(BODIES[WEIGHED])
    for miner in range(len(PLAN.roster)):
        for path, name in (
            (("tallies", "metaworld/reach-v3", "completed"), Name.SCORES),
            (("tallies", "metaworld/push-v3", "forfeited"), Name.SCORES),
            (("tallies", "metaworld/push-v3", "successful"), Name.SCORES),
            (("on_frontier",), Name.FRONTIER),
            (("points",), Name.POINTS),
            (("weight",), Name.WEIGHTS),
        ):
            changed = copy.deepcopy(weights)
            place = changed["data"]["standings"][miner]
            for step in path[:-1]:
                place = place[step]
            old = place[path[-1]]
            place[path[-1]] = not old if isinstance(old, bool) else old + 1 if isinstance(old, int) else old + "1"
            yield Mutation(f"miner {miner} {path}", replaced(WEIGHED, body_of(changed)), frozenset({name}))
    for env in PLAN.environments:
        changed = copy.deepcopy(weights)
        changed["data"]["epsilons"][env] = "0.123"
        yield Mutation(f"epsilon of {env}", replaced(WEIGHED, body_of(changed)), frozenset({Name.SCORES}))
    changed = copy.deepcopy(weights)
    values = changed["data"]["weights_u16"]["values"]
    changed["data"]["weights_u16"]["values"] = [values[0] - 1, values[1] + 1]
    yield Mutation("a u16 shifted", replaced(WEIGHED, body_of(changed)), frozenset({Name.U16}))
    changed["data"]["weights_u16"]["values"] = values[::-1]
    yield Mutation("u16 exchanged", replaced(WEIGHED, body_of(changed)), frozenset({Name.U16}))


def foreign_events() -> Iterator[Mutation]:
    other = cycle_export(facts.planned(2), OUTCOMES[:0], signed=False)
    for place in range(len(BODIES) + 1):
        for body in (other[0], other[1]):
            bodies = [*BODIES[:place], body, *BODIES[place:]]
            yield Mutation(f"of another cycle at {place}", bodies, frozenset({Name.EVENTS}))
    template = document(BODIES[FIRST_OUTCOME])
    for name, value in (("uid", 7), ("index", 2), ("env", "metaworld/door-open-v3")):
        unplanned = copy.deepcopy(template)
        unplanned["data"][name] = value
        env = unplanned["data"]["env"].replace("/", ".")
        unplanned["subject"] = f"evt.cycle.1.episode.{unplanned['data']['uid']}.{env}.{unplanned['data']['index']}"
        for place in range(FIRST_OUTCOME, SEALED + 1):
            bodies = [*BODIES[:place], body_of(unplanned), *BODIES[place:]]
            yield Mutation(f"unplanned {name} at {place}", bodies, frozenset({Name.PLAN}))


def test_each_forgery_is_caught_by_the_check_that_is_for_it() -> None:
    for mutation in forged():
        assert mutation.names <= failing(exported(mutation.bodies)), mutation.what


def test_the_seal_mended_without_the_key_is_caught_by_the_signature() -> None:
    for place in range(PLANNED, SEALED):
        under = [
            *BODIES[PLANNED:place],
            put(BODIES[place], ("time",), "2026-01-02T03:04:05.5Z"),
            *BODIES[place + 1 :],
        ]
        leaves_now = under[: SEALED - PLANNED]
        root = root_of(leaves_now)
        bodies = [BODIES[0], *under]
        for at in (SEALED, WEIGHED):
            bodies[at] = put(bodies[at], ("data", "merkle_root"), root)
        assert failing(exported(bodies)) == {Name.SIGNATURE}, place


def test_all_of_it_signed_by_another_key_is_caught_by_who_knows_the_key() -> None:
    bodies = cycle_export(PLAN, outcomes_of(PLAN, winners=(1,)), pair=OTHER_KEY)
    assert failing(exported(bodies), pinned=False) == set()
    assert failing(exported(bodies)) == {Name.SIGNATURE}


# A cycle about a chain, whose uid 0 had changed hands at the end.

ON_CHAIN = facts.planned(1, uids=(0, 1, 2), chain=facts.chain_terms())
WON = outcomes_where(ON_CHAIN, {0: facts.REACH, 2: facts.PUSH})
CHECKED = facts.slots_checked(moved=(0,))
MOVED = cycle_export(ON_CHAIN, WON, checked=CHECKED)
SLOTS = next(place for place, body in enumerate(MOVED) if b'"kinitro.cycle.slots"' in body)


def with_slots(checked: SlotsChecked | None) -> list[bytes]:
    """The story once more with these slots, and all that follows; the signatures are those of the true one."""
    story = [document(body) for body in cycle_export(ON_CHAIN, WON, checked=checked)]
    for place in (0, -2, -1):
        story[place]["data"] = document(MOVED[place])["data"]
    return [body_of(event) for event in story]


def test_a_cycle_in_which_a_uid_changed_hands_is_identical() -> None:
    assert failing(exported(MOVED)) == set()
    assert failing(exported(cycle_export(ON_CHAIN, WON))) == set()


def test_slots_that_are_dropped_doubled_moved_or_altered_are_under_the_root() -> None:
    dropped = [*MOVED[:SLOTS], *MOVED[SLOTS + 1 :]]
    assert Name.ROOT in failing(exported(dropped))
    assert Name.PLAN in failing(exported([*MOVED[: SLOTS + 1], *MOVED[SLOTS:]]))
    after_the_seal = [*dropped[: SLOTS + 1], MOVED[SLOTS], *dropped[SLOTS + 1 :]]
    assert {Name.PLAN, Name.ROOT} <= failing(exported(after_the_seal))
    before_an_outcome = [*MOVED[: SLOTS - 1], MOVED[SLOTS], MOVED[SLOTS - 1], *MOVED[SLOTS + 1 :]]
    assert {Name.PLAN, Name.ROOT} <= failing(exported(before_an_outcome))
    for path, value in leaves(document(MOVED[SLOTS])):
        for other in altered(value):
            found = failing(exported(replaced(SLOTS, put(MOVED[SLOTS], path, other), MOVED)))
            assert found & {Name.ROOT, Name.EVENTS}, (path, other)


@pytest.mark.parametrize(
    ("forged", "names"),
    [
        (None, set()),
        (facts.slots_checked(moved=()), set()),
        (facts.slots_checked(moved=(0, 1)), set()),
        (facts.slots_checked(moved=(1,)), set()),
        (facts.slots_checked(moved=(0, 7)), {Name.PLAN}),
        (facts.slots_checked(block=ON_CHAIN.block), {Name.PLAN}),
        (CHECKED.model_copy(update={"netuid": 8}), {Name.PLAN}),
    ],
)
def test_slots_forged_with_all_that_follows_lack_the_signature(forged: SlotsChecked | None, names: set[Name]) -> None:
    assert failing(exported(with_slots(forged))) == {Name.SIGNATURE} | names


def test_slots_of_a_cycle_without_a_chain_are_not_the_plans() -> None:
    assert failing(exported(cycle_export(PLAN, OUTCOMES, checked=CHECKED))) == {Name.PLAN}


@pytest.mark.parametrize("place", range(3))
def test_a_standing_that_says_otherwise_who_moved_is_caught(place: int) -> None:
    weighed = SLOTS + 2
    changed = document(MOVED[weighed])
    standing = changed["data"]["standings"][place]
    if standing.pop("moved", False) is False:
        standing["moved"] = True
    assert failing(exported(replaced(weighed, body_of(changed), MOVED))) == {Name.WEIGHTS}


def test_a_standing_that_says_at_length_that_it_did_not_move_is_caught() -> None:
    weighed = SLOTS + 2
    changed = document(MOVED[weighed])
    changed["data"]["standings"][1]["moved"] = False
    assert failing(exported(replaced(weighed, body_of(changed), MOVED))) == {Name.EVENTS}


def test_weight_for_who_moved_is_caught_even_without_the_key() -> None:
    weighed = SLOTS + 2
    before = document(cycle_export(ON_CHAIN, WON)[weighed - 1])
    changed = document(MOVED[weighed])
    for name in ("standings", "weights_u16"):
        changed["data"][name] = before["data"][name]
    found = failing(exported(replaced(weighed, body_of(changed), MOVED)), pinned=False)
    assert {Name.WEIGHTS, Name.U16} <= found
