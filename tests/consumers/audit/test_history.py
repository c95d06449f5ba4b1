"""`kinitro audit history` of histories that were only appended to, and of some that were written again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from consumers.audit.history.checks import FromProofs, HistoryAudit, HistoryDiffers, Kept
from consumers.audit.history.sources import ApiHistory, NoHistory, audit_log
from consumers.signing.handler import Signing
from events import subjects
from events.codec import decode_as
from events.connection import Connection
from events.ids import CycleId, Hotkey
from events.jetstream import JetStreamLog
from events.log import Draft, Stored
from events.merkle import hash_leaf
from events.merkle_proofs import MerkleProver
from events.signed import RootSigned
from events.statements import History, root_statement, sign
from events.streams import ensure_streams
from tests.cli.conftest import PROGRAM
from tests.controls import facts
from tests.controls.exports import body_of, document
from tests.controls.keys import FIRST, SECOND
from tests.fixtures.http import NOWHERE, Api, patient_settings, serving_the_log
from tests.fixtures.nats import NatsProcess, delete_streams
from tests.fixtures.projecting import write

CYCLES = 5

Audited = Callable[[Hotkey | None, Kept | None], Awaitable[HistoryAudit]]


@pytest.fixture
async def log_api(nats_server: NatsProcess, event_log: JetStreamLog) -> AsyncIterator[Api]:
    """Without a database: what it says of the history comes from the log."""
    assert event_log
    async with serving_the_log(patient_settings(NOWHERE, nats_server.url)) as api:
        yield api


@pytest.fixture(params=["log", "api"])
def audited(request: pytest.FixtureRequest, event_log: JetStreamLog) -> Audited:
    """The audit of the same history, from either side."""
    api: Api | None = request.getfixturevalue("log_api") if request.param == "api" else None

    async def from_log(key: Hotkey | None, kept: Kept | None) -> HistoryAudit:
        return await audit_log(event_log, key, kept)

    async def from_api(key: Hotkey | None, kept: Kept | None) -> HistoryAudit:
        assert api is not None
        async with aiohttp.ClientSession() as session:
            return await ApiHistory(session, api.base_url).audit(key, kept)

    return from_api if api else from_log


async def end(log: JetStreamLog, *cycles: int) -> None:
    for cycle in cycles:
        await write(log, facts.planned(cycle), facts.cycle_abandoned(cycle), facts.weights_withheld(cycle))


@pytest.fixture
async def roots(event_log: JetStreamLog) -> dict[int, str]:
    """The signed history root of each cycle."""
    await end(event_log, *range(1, CYCLES + 1))
    await Signing(event_log, FIRST).catch_up()
    return {cycle: await signed_root(event_log, cycle) for cycle in range(1, CYCLES + 1)}


async def signed_root(log: JetStreamLog, cycle: int) -> str:
    stored = await log.last(subjects.signed_root(CycleId(cycle)))
    assert stored is not None
    return str(json.loads(decode_as(RootSigned, stored).event.statement)["history_root"])


async def rewrite(connection: Connection, change: Callable[[Stored], bytes | None]) -> None:
    """Another log, in which each event is as `change` has it; None takes it away."""
    log = JetStreamLog(connection)
    events = [stored async for batch in log.read() for stored in batch]
    await delete_streams(connection)
    await ensure_streams(connection)
    changed = [(stored.subject, change(stored)) for stored in events]
    await log.append([Draft(subject, document(body)["id"], body) for subject, body in changed if body is not None])


def with_another_end(cycle: int) -> Callable[[Stored], bytes | None]:
    """Cycle `cycle` revealed another secret."""

    def change(stored: Stored) -> bytes | None:
        if stored.subject != subjects.seal(CycleId(cycle)):
            return stored.body
        altered = document(stored.body)
        altered["data"]["secret"] = "ab" * 32
        return body_of(altered)

    return change


async def test_what_was_only_appended_to_is_that(audited: Audited, roots: dict[int, str]) -> None:
    result = await audited(FIRST.address, None)
    assert (result.difference, result.first, result.last) == (None, 1, CYCLES)
    assert (result.root, result.key, result.unsigned) == (roots[CYCLES], FIRST.address, 0)


async def test_every_root_that_was_kept_is_still_the_beginning(audited: Audited, roots: dict[int, str]) -> None:
    for cycle, root in roots.items():
        assert (await audited(None, Kept(cycle, root))).agrees, cycle


async def test_a_history_grows_past_what_was_kept(
    audited: Audited, roots: dict[int, str], event_log: JetStreamLog
) -> None:
    await end(event_log, 6)
    assert (await audited(None, Kept(CYCLES, roots[CYCLES]))).unsigned == 1
    await Signing(event_log, FIRST).catch_up()
    assert (await audited(None, Kept(CYCLES, roots[CYCLES]))).last == 6


async def test_another_root_than_was_kept_is_named_with_both(audited: Audited, roots: dict[int, str]) -> None:
    found = (await audited(None, Kept(3, roots[4]))).difference
    assert found is not None
    assert (found.where, found.expected) == ("cycle 3", f"the history root {roots[4]}, which was kept")
    assert found.found == roots[3]


async def test_a_history_that_ends_before_what_was_kept_is_refused(audited: Audited, roots: dict[int, str]) -> None:
    found = (await audited(None, Kept(9, roots[5]))).difference
    assert found is not None
    assert found.where == "cycle 9"


@pytest.mark.parametrize("cycle", [1, 3, CYCLES])
async def test_an_end_that_was_rewritten_is_named(
    audited: Audited, roots: dict[int, str], nats: Connection, cycle: int
) -> None:
    assert roots
    await rewrite(nats, with_another_end(cycle))
    found = (await audited(None, None)).difference
    assert found is not None
    assert found.where.split(",")[0] == f"cycle {cycle}"


async def test_a_rewritten_end_is_named_with_both_roots(
    audited: Audited, roots: dict[int, str], nats: Connection
) -> None:
    await rewrite(nats, with_another_end(3))
    found = (await audited(None, None)).difference
    assert found is not None
    assert (found.where, found.found) == ("cycle 3, history_root", roots[3])
    assert found.expected.split(",")[0] not in roots.values()


async def test_all_of_it_written_and_signed_again_is_refused_by_who_kept_a_root(
    audited: Audited, roots: dict[int, str], nats: Connection, event_log: JetStreamLog
) -> None:
    """Who has the key can do this; only what outsiders kept speaks against it."""
    another = with_another_end(2)
    await rewrite(nats, lambda stored: None if stored.subject.startswith("evt.signed") else another(stored))
    await Signing(event_log, FIRST).catch_up()
    assert (await audited(FIRST.address, None)).agrees
    assert (await audited(None, Kept(1, roots[1]))).agrees
    found = (await audited(None, Kept(4, roots[4]))).difference
    assert found is not None
    assert (found.where, found.expected) == ("cycle 4", f"the history root {roots[4]}, which was kept")


async def test_a_signature_that_was_taken_away_is_named(
    audited: Audited, roots: dict[int, str], nats: Connection
) -> None:
    assert roots
    gone = subjects.signed_root(CycleId(2))
    await rewrite(nats, lambda stored: None if stored.subject == gone else stored.body)
    found = (await audited(None, None)).difference
    assert found is not None
    assert (found.where, found.found) == ("cycle 2", "no signature")


@pytest.mark.usefixtures("roots")
async def test_another_key_than_the_pinned_one_is_refused(audited: Audited) -> None:
    found = (await audited(SECOND.address, None)).difference
    assert found is not None
    assert (found.expected, found.found) == (f"the key {SECOND.address}", FIRST.address)


async def test_what_nobody_has_signed_does_not_pass(event_log: JetStreamLog) -> None:
    await end(event_log, 1)
    found = (await audit_log(event_log, None, None)).difference
    assert found is not None
    assert found.found == "not signed"


async def test_where_nothing_has_ended_there_is_nothing_to_audit(audited: Audited) -> None:
    with pytest.raises(NoHistory):
        await audited(None, None)


async def told(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        "audit",
        "history",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_command_says_so(roots: dict[int, str], nats_server: NatsProcess, log_api: Api) -> None:
    log, kept = ("--nats-url", nats_server.url), ("--since", "2", "--root")
    same, differs, from_api, misused = await asyncio.gather(
        told(*log, *kept, roots[2]),
        told(*log, *kept, roots[3], "--json"),
        told("--api-url", log_api.base_url, *kept, roots[2], "--json"),
        told(*log, "--since", "2"),
    )
    assert (same[0], same[2]) == (0, "")
    assert f"--since 5 --root {roots[5]}" in " ".join(same[1].split())
    assert same[1].rstrip().endswith("only ever appended to")
    assert differs[0] == 1
    assert json.loads(differs[1])["difference"]["where"] == "cycle 2"
    assert from_api[0] == 0
    assert json.loads(from_api[1])["root"] == roots[5]
    assert (misused[0], misused[1]) == (2, "")
    assert "--since and --root go together" in misused[2]


def test_a_signed_history_that_is_no_continuation_of_the_one_before_is_refused() -> None:
    """The key was used for two histories, and the API gives each its own true proof."""
    true, other = History(), History()
    true.add(1, b"an end")
    other.add(1, b"another end")
    other.add(2, b"the second end")
    fold = FromProofs((FIRST.address,), None)
    fold.signed(signed_of(root_statement(facts.cycle_abandoned(1), true, None), 1), true.root, [])
    proof = MerkleProver(map(hash_leaf, (b"another end", b"the second end"))).consistency(1)
    with pytest.raises(HistoryDiffers, match=r"cycle 2: expected the history root .* to extend"):
        fold.signed(
            signed_of(root_statement(facts.cycle_abandoned(2), other, None), 2),
            other.root,
            [node.hex() for node in proof],
        )


def signed_of(statement: str, cycle: int) -> RootSigned:
    return RootSigned(cycle=CycleId(cycle), statement=statement, signature=sign(statement, FIRST))
