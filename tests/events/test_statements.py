"""Real signatures over real statements, and whoever alters them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from events.canonical import canonical
from events.ids import CycleId
from events.merkle import MerkleTree
from events.signed import KeyAnnounced, RootSigned, Signature, WeightsSigned
from events.statements import (
    BadSignature,
    BrokenIdentity,
    History,
    StatementDiffers,
    announce,
    check,
    check_identity,
    check_signed,
    key_statement,
    root_statement,
    sign,
    weights_statement,
)
from tests.controls import facts
from tests.controls.keys import FIRST, SECOND, STRANGER


def history(size: int = 1) -> History:
    tree = History()
    for cycle in range(1, size + 1):
        tree.add(cycle, f"end of {cycle}".encode())
    return tree


def weights_signed() -> WeightsSigned:
    statement = weights_statement(facts.weights_computed(), None)
    return WeightsSigned(cycle=CycleId(1), statement=statement, signature=sign(statement, FIRST))


def identity() -> list[KeyAnnounced]:
    first = announce(FIRST, [], None)
    return [first, announce(SECOND, [first], FIRST)]


def test_a_root_statement_says_how_a_cycle_ended() -> None:
    seal = facts.sealed(3)
    assert json.loads(root_statement(seal, history(3), None)) == {
        "kind": "kinitro/root/1",
        "cycle": 3,
        "end": "sealed",
        "first_sequence": seal.first_sequence,
        "last_sequence": seal.last_sequence,
        "tree_size": seal.tree_size,
        "merkle_root": seal.merkle_root,
        "history_size": 3,
        "history_root": history(3).root,
    }


def test_an_abandoned_cycle_has_no_root_but_a_place_in_the_history() -> None:
    statement = json.loads(root_statement(facts.cycle_abandoned(2), history(2), None))
    assert (statement["end"], statement["merkle_root"], statement["tree_size"]) == ("abandoned", None, None)
    assert statement["history_size"] == 2


def test_a_weights_statement_has_exact_decimals_and_u16() -> None:
    computed = facts.weights_computed()
    u16 = dict(zip(computed.weights_u16.uids, computed.weights_u16.values, strict=True))
    assert json.loads(weights_statement(computed, None)) == {
        "kind": "kinitro/weights/1",
        "cycle": 1,
        "block": computed.block,
        "merkle_root": computed.merkle_root,
        "weights": [
            {"hotkey": it.hotkey, "uid": it.uid, "weight": it.weight, "u16": u16[it.uid]} for it in computed.standings
        ],
    }


@pytest.mark.parametrize(
    "statement",
    [
        root_statement(facts.sealed(), history(), None),
        weights_statement(facts.weights_computed(), None),
        key_statement(FIRST.address, 1, None),
    ],
)
def test_statements_are_canonical(statement: str) -> None:
    assert canonical(json.loads(statement)).decode() == statement


def test_the_history_is_the_tree_over_the_ends() -> None:
    tree = MerkleTree()
    for cycle in (1, 2, 3):
        tree.add(f"end of {cycle}".encode())
    assert (history(3).root, history(3).size) == (tree.root().hex(), 3)


@pytest.mark.parametrize("cycle", [1, 2, 4])
def test_a_history_takes_cycles_in_order_only(cycle: int) -> None:
    with pytest.raises(StatementDiffers, match=f"cycle {cycle} has ended, and cycle 3 not yet"):
        history(2).add(cycle, b"")


def test_a_root_is_signed_with_its_own_history_only() -> None:
    with pytest.raises(ValueError, match="ends with cycle 2, expected 3"):
        root_statement(facts.sealed(3), history(2), None)


def test_a_signature_is_checked_with_the_public_key_alone() -> None:
    signature = sign("text", FIRST)
    check("text", signature)
    assert signature.key == FIRST.address


def test_whatever_is_altered_shows() -> None:
    signature = sign("text", FIRST)
    flipped = f"{int(signature.signature[0], 16) ^ 1:x}{signature.signature[1:]}"
    for text, wrong in (
        ("Text", signature),
        ("text", Signature(key=SECOND.address, signature=signature.signature)),
        ("text", Signature(key=FIRST.address, signature=flipped)),
        ("text", Signature(key=FIRST.address, signature="00" * 64)),
        ("text", Signature(key=facts.hotkey(0), signature=signature.signature)),
    ):
        with pytest.raises(BadSignature, match=wrong.key):
            check(text, wrong)


def test_who_signs_leaves_no_trace_of_the_secret() -> None:
    assert repr(FIRST) == f"SigningKey({FIRST.address})"


def test_signed_weights_are_checked_against_the_facts() -> None:
    check_signed(weights_signed(), weights_statement(facts.weights_computed(), None), [FIRST.address])


def test_signed_weights_that_say_something_else_are_refused() -> None:
    other = weights_statement(facts.weights_computed().model_copy(update={"block": 49}), None)
    with pytest.raises(StatementDiffers, match="cycle 1"):
        check_signed(weights_signed(), other, [FIRST.address])


def test_signed_weights_by_a_stranger_are_refused() -> None:
    with pytest.raises(BrokenIdentity, match=f"signed by {FIRST.address}, expected one of .*{SECOND.address}"):
        check_signed(weights_signed(), weights_signed().statement, [SECOND.address])


def test_a_signed_root_with_the_signature_of_another_is_refused() -> None:
    statement = root_statement(facts.sealed(), history(), None)
    signed = RootSigned(cycle=CycleId(1), statement=statement, signature=weights_signed().signature)
    with pytest.raises(BadSignature, match=f"kinitro/root/1: the key {FIRST.address} has not signed"):
        check_signed(signed, statement, [FIRST.address])


def test_keys_follow_from_each_other() -> None:
    assert check_identity([]) == ()
    assert check_identity(identity()) == (FIRST.address, SECOND.address)


def test_a_key_that_the_one_before_has_not_announced_is_refused() -> None:
    first, _ = identity()
    for usurper in (announce(STRANGER, [first], STRANGER), announce(STRANGER, [first], None)):
        with pytest.raises(BrokenIdentity, match=f"expected {FIRST.address}"):
            check_identity([first, usurper])


def test_a_forged_announcement_is_refused() -> None:
    first, second = identity()
    assert second.previous is not None
    forged = second.previous.model_copy(update={"signature": sign(second.statement, STRANGER).signature})
    with pytest.raises(BadSignature, match=FIRST.address):
        check_identity([first, second.model_copy(update={"previous": forged})])


@pytest.mark.parametrize("altered", [{"ordinal": 3}, {"statement": key_statement(SECOND.address, 2, None)}])
def test_an_announcement_that_says_something_else_is_refused(altered: dict[str, object]) -> None:
    first, second = identity()
    with pytest.raises(BrokenIdentity, match="expected"):
        check_identity([first, second.model_copy(update=altered)])


def test_a_missing_announcement_is_noticed() -> None:
    with pytest.raises(BrokenIdentity, match=f"announced by {FIRST.address}, expected None"):
        check_identity(identity()[1:])


def test_reading_events_loads_no_cryptography() -> None:
    code = "import sys, events.statements, events.codec; print('bittensor_core' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_what_is_signed_of_a_cycle_on_a_chain_names_the_subnet() -> None:
    chain = facts.chain_terms()
    place = {"genesis": chain.genesis, "netuid": chain.netuid}
    for alone, on_chain, kind in (
        (root_statement(facts.sealed(), history(), None), root_statement(facts.sealed(), history(), chain), "root"),
        (
            weights_statement(facts.weights_computed(), None),
            weights_statement(facts.weights_computed(), chain),
            "weights",
        ),
    ):
        assert json.loads(on_chain) == {**json.loads(alone), **place, "kind": f"kinitro/{kind}/2"}
        assert canonical(json.loads(on_chain)).decode() == on_chain
