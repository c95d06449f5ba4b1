"""Keys, signatures and proofs over HTTP: checked here as an outsider would, with nothing but the answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from consumers.scoring.handler import Scoring
from consumers.signing.handler import Signing
from consumers.signing.identity import rotate
from events import subjects
from events.codec import decode_as
from events.cycles import CycleSealed
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.merkle_proofs import ProofRefused, verify_consistency, verify_inclusion
from events.signed import KeyAnnounced, RootSigned, Signature
from events.statements import BadSignature, check, check_identity
from tests.controls import facts
from tests.controls.keys import FIRST, SECOND
from tests.controls.sealed_cycles import append_sealed, append_unsealed, outcomes_of
from tests.fixtures.http import Api
from tests.fixtures.projecting import write

ROOT, WEIGHTS = "/v1/cycles/1/root", "/v1/cycles/1/weights/signed"


@pytest.fixture
async def seal(event_log: JetStreamLog) -> CycleSealed:
    """Of a cycle that is scored, but not signed. The miner's event before it keeps sequences and leaves apart."""
    plan = facts.planned()
    await write(event_log, facts.discovered(0))
    sealed = await append_sealed(event_log, plan, outcomes_of(plan))
    await Scoring(event_log).catch_up()
    return sealed


@pytest.fixture
async def signed(event_log: JetStreamLog, seal: CycleSealed) -> CycleSealed:
    await Signing(event_log, FIRST).catch_up()
    return seal


def check_answer(answer: dict[str, Any]) -> dict[str, Any]:
    """What the statement says, if it is signed by the key that is named beside it."""
    check(answer["statement"], Signature(key=answer["key"], signature=answer["signature"]))
    found: dict[str, Any] = json.loads(answer["statement"])
    return found


def check_proof(answer: dict[str, Any], *, event: str | None = None) -> None:
    leaf = answer["event"] if event is None else event
    path = [bytes.fromhex(node) for node in answer["path"]]
    root = bytes.fromhex(answer["merkle_root"])
    verify_inclusion(root, answer["tree_size"], answer["leaf_index"], leaf.encode(), path)


@pytest.mark.usefixtures("signed")
async def test_the_key_in_force_is_named_and_has_signed_that(api: Api) -> None:
    answer = (await api.get("/v1/identity")).json
    assert answer["key"] == FIRST.address
    (announced,) = answer["announcements"]
    assert (announced["ordinal"], announced["previous"]) == (1, None)
    assert check_answer(announced)["key"] == FIRST.address


@pytest.mark.usefixtures("signed")
async def test_a_rotation_is_shown_with_both_signatures(api: Api, event_log: JetStreamLog) -> None:
    await rotate(event_log, FIRST, SECOND)
    answer = (await api.get("/v1/identity")).json
    chain = [
        KeyAnnounced(
            ordinal=it["ordinal"],
            statement=it["statement"],
            signature=Signature(key=it["key"], signature=it["signature"]),
            previous=Signature(**it["previous"]) if it["previous"] else None,
        )
        for it in answer["announcements"]
    ]
    assert check_identity(chain) == (FIRST.address, SECOND.address)
    assert answer["key"] == SECOND.address


@pytest.mark.usefixtures("seal")
async def test_before_the_first_key_there_is_none(api: Api) -> None:
    assert await api.problem("/v1/identity") == (404, "no-key")


async def test_the_signed_root_is_that_of_the_seal(api: Api, signed: CycleSealed) -> None:
    answer = (await api.get(ROOT)).json
    assert answer["cycle_id"] == 1
    assert check_answer(answer)["merkle_root"] == signed.merkle_root


async def test_the_signed_weights_are_those_of_the_cycle(api: Api, signed: CycleSealed) -> None:
    statement = check_answer((await api.get(WEIGHTS)).json)
    assert statement["merkle_root"] == signed.merkle_root
    assert [each["uid"] for each in statement["weights"]] == [0, 1]
    assert sum(each["u16"] for each in statement["weights"]) == 65_535


@pytest.mark.usefixtures("signed")
async def test_a_tampered_answer_is_refused(api: Api) -> None:
    answer = (await api.get(WEIGHTS)).json
    answer["statement"] = answer["statement"].replace('"uid":1', '"uid":2')
    with pytest.raises(BadSignature, match=f"kinitro/weights/1: the key {FIRST.address}"):
        check_answer(answer)


@pytest.mark.usefixtures("seal")
@pytest.mark.parametrize("path", [ROOT, WEIGHTS])
async def test_what_is_not_signed_yet_is_no_unknown_cycle(api: Api, path: str) -> None:
    assert await api.problem(path) == (404, "not-signed")
    assert await api.problem(path.replace("/1/", "/9/")) == (404, "unknown-cycle")


async def test_every_event_under_a_seal_is_proved(api: Api, event_log: JetStreamLog, seal: CycleSealed) -> None:
    indexes = []
    for sequence in range(seal.first_sequence, seal.last_sequence + 1):
        answer = (await api.get(f"/v1/events/{sequence}/proof")).json
        check_proof(answer)
        stored = await event_log.at(sequence)
        assert stored is not None
        assert answer["event"].encode() == stored.body
        assert (answer["merkle_root"], answer["tree_size"]) == (seal.merkle_root, seal.tree_size)
        indexes.append(answer["leaf_index"])
    assert indexes == list(range(seal.tree_size))


async def test_another_event_is_not_proved(api: Api, seal: CycleSealed) -> None:
    answer = (await api.get(f"/v1/events/{seal.last_sequence}/proof")).json
    with pytest.raises(ProofRefused):
        check_proof(answer, event=answer["event"].replace('"success":', '"success": '))


async def test_why_there_is_no_proof_is_told_apart(api: Api, event_log: JetStreamLog, seal: CycleSealed) -> None:
    await append_unsealed(event_log, facts.planned(2), [])
    running = await event_log.last_sequence()
    await append_unsealed(event_log, facts.planned(3), [facts.cycle_abandoned(3)])
    abandoned = await event_log.last_sequence()
    for sequence, expected in (
        (1, (404, "not-sealed")),  # a miner's
        (seal.last_sequence + 1, (404, "not-sealed")),  # the seal itself
        (running, (409, "not-yet-sealed")),
        (abandoned, (404, "not-sealed")),
        (abandoned + 1, (404, "unknown-event")),
        (2**63 - 1, (404, "unknown-event")),
        (0, (422, "invalid-request")),
    ):
        assert await api.problem(f"/v1/events/{sequence}/proof") == expected, sequence


async def test_no_proof_comes_from_a_log_that_the_seal_does_not_speak_of(api: Api, event_log: JetStreamLog) -> None:
    plan = facts.planned()
    await append_unsealed(event_log, plan, outcomes_of(plan))
    await write(event_log, facts.sealed())
    stored = await event_log.last(subjects.plan(CycleId(1)))
    assert stored is not None
    assert await api.problem(f"/v1/events/{stored.sequence}/proof") == (500, "evidence-broken")


@pytest.fixture
async def histories(event_log: JetStreamLog) -> list[str]:
    """The signed history roots of seven cycles; an eighth has not ended."""
    for cycle in range(1, 8):
        await write(event_log, facts.planned(cycle), facts.cycle_abandoned(cycle), facts.weights_withheld(cycle))
    await write(event_log, facts.planned(8))
    await Signing(event_log, FIRST).catch_up()
    signed = [stored async for batch in event_log.read(subject=subjects.SIGNED_ROOTS) for stored in batch]
    return [json.loads(decode_as(RootSigned, stored).event.statement)["history_root"] for stored in signed]


async def test_every_history_is_proved_to_extend_every_earlier_one(api: Api, histories: list[str]) -> None:
    for since, old in enumerate(histories, start=1):
        for cycle, root in enumerate(histories[since - 1 :], start=since):
            answer = (await api.get(f"/v1/cycles/{cycle}/root/consistency?since={since}")).json
            assert (answer["since_root"], answer["root"]) == (old, root)
            proof = [bytes.fromhex(node) for node in answer["proof"]]
            verify_consistency(bytes.fromhex(old), since, bytes.fromhex(root), cycle, proof)


@pytest.mark.usefixtures("histories")
async def test_why_there_is_no_consistency_proof_is_told_apart(api: Api) -> None:
    for path, expected in (
        ("8/root/consistency?since=1", (409, "cycle-not-ended")),
        ("9/root/consistency?since=1", (404, "unknown-cycle")),
        ("3/root/consistency?since=4", (422, "invalid-request")),
        ("3/root/consistency?since=0", (422, "invalid-request")),
        ("3/root/consistency", (422, "invalid-request")),
    ):
        assert await api.problem(f"/v1/cycles/{path}") == expected, path


async def test_no_consistency_is_proved_of_a_log_that_lacks_an_end(api: Api, event_log: JetStreamLog) -> None:
    for cycle in (1, 3):
        await write(event_log, facts.planned(cycle), facts.cycle_abandoned(cycle))
    assert await api.problem("/v1/cycles/3/root/consistency?since=1") == (500, "evidence-broken")
