"""`kinitro audit history` and `audit cycle` beside a chain on which a history root was committed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from consumers.anchoring.chain import AnchorChain
from consumers.anchoring.deciding import BLOCKS_MIN
from consumers.anchoring.handler import Anchoring
from consumers.scoring.handler import Scoring
from consumers.signing.handler import Signing
from events import subjects
from events.anchors import Anchor, RootAnchored
from events.codec import decode_as
from events.ids import CycleId
from events.jetstream import JetStreamLog
from tests.chain.chain import NETUID
from tests.chain.node import Node, running
from tests.chain.subnets import keypair, populated
from tests.chain.world import raw
from tests.cli.conftest import PROGRAM
from tests.controls import facts
from tests.controls.keys import FIRST
from tests.controls.sealed_cycles import append_sealed, outcomes_of
from tests.fixtures.http import NOWHERE, Api, patient_settings, serving_the_log
from tests.fixtures.nats import NatsProcess

OURS = keypair("anchor")
ADDRESS: str = OURS.ss58_address
WHOSE = ("--netuid", str(NETUID), "--anchor-hotkey", ADDRESS)


@dataclass
class Place:
    """A log of two cycles, both anchored, and the chain that has the second."""

    log: JetStreamLog
    nats_url: str
    node: Node

    async def anchored(self, cycle: int) -> RootAnchored:
        stored = await self.log.last(subjects.anchor(CycleId(cycle)))
        assert stored is not None
        return decode_as(RootAnchored, stored).event

    async def audit(self, *arguments: str, api: Api | None = None) -> tuple[int, dict[str, Any]]:
        source = ("--api-url", api.base_url) if api else ("--nats-url", self.nats_url)
        told, code = await run(*arguments, *source, "--chain-endpoint", self.node.url, "--json")
        return code, json.loads(told)

    def commit(self, text: str) -> None:
        self.node.chain.commit(ADDRESS, raw(text))
        self.node.chain.advance()

    def prune(self) -> None:
        """All that was until now."""
        self.node.chain.prune()
        self.node.chain.advance(2)  # the SDK reads the parent's runtime


async def run(*arguments: str) -> tuple[str, int]:
    process = await asyncio.create_subprocess_exec(*PROGRAM, "audit", *arguments, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode is not None
    return out.decode(), process.returncode


@pytest.fixture
async def place(event_log: JetStreamLog, nats_server: NatsProcess) -> AsyncIterator[Place]:
    chain = populated(2)
    chain.register(ADDRESS)
    chain.advance()
    async with running(chain) as node:
        for cycle in (1, 2):
            plan = facts.planned(cycle)
            await append_sealed(event_log, plan, outcomes_of(plan, winners=(0,)))
            await Scoring(event_log).catch_up()
            await Signing(event_log, FIRST).catch_up()
            side = AnchorChain([node.url], NETUID, OURS)
            anchoring = Anchoring(event_log, side)
            await anchoring.catch_up()
            await anchoring.once()
            await anchoring.once()
            await side.close()
            chain.advance(BLOCKS_MIN)
        yield Place(event_log, nats_server.url, node)


@pytest.fixture
async def log_api(place: Place) -> AsyncIterator[Api]:
    async with serving_the_log(patient_settings(NOWHERE, place.nats_url)) as api:
        yield api


async def test_a_history_that_was_anchored_agrees(place: Place, log_api: Api) -> None:
    (code, result), (from_api, through_api) = await asyncio.gather(
        place.audit("history"), place.audit("history", *WHOSE, api=log_api)
    )
    assert (code, result["verdict"]) == (0, "only ever appended to")
    first, second = result["notes"]
    assert first.startswith("the recorded anchor of cycle 2 is on the chain since block")
    assert second.startswith("the chain has the history root of cycle 2")
    assert (from_api, through_api["notes"]) == (0, [second])


async def test_another_root_on_the_chain_is_named_beside_ours(place: Place, log_api: Api) -> None:
    ours = await place.anchored(2)
    place.commit(Anchor(CycleId(2), "ee" * 32).text)
    for code, result in (
        await place.audit("history"),
        await place.audit("history", *WHOSE, api=log_api),
    ):
        assert code == 1
        assert "ee" * 32 in result["difference"]["expected"]
        assert result["difference"]["found"] == ours.history_root


async def test_a_history_that_ends_before_what_was_anchored_is_refused(place: Place) -> None:
    place.commit(Anchor(CycleId(9), "ee" * 32).text)
    code, result = await place.audit("history")
    assert (code, result["difference"]["where"]) == (1, "cycle 9")


@pytest.mark.parametrize("text", ["user/policy:0123abcd:deployment", Anchor(CycleId(1), "ee" * 32).text])
async def test_an_anchor_that_was_taken_away_is_named(place: Place, text: str) -> None:
    ours = await place.anchored(2)
    place.commit(text)
    code, result = await place.audit("history")
    assert (code, result["difference"]["where"]) == (1, "cycle 2, anchor")
    assert ours.history_root in result["difference"]["expected"]


async def test_where_state_is_discarded_the_newest_is_compared_with(place: Place) -> None:
    place.prune()
    code, result = await place.audit("history")
    assert code == 0
    assert "not checked: state of block" in result["notes"][0]
    assert result["notes"][1].startswith("the chain has the history root of cycle 2")


async def test_another_chain_is_told_from_the_one_that_was_recorded(place: Place) -> None:
    hashes = place.node.chain.hash_of
    place.node.chain.hash_of = lambda number: hashes(number + 1 if number == 0 else number)  # type: ignore[method-assign]
    code, result = await place.audit("history")
    assert code == 1
    assert "another first block" in result["difference"]["found"]


def anchor_of(result: dict[str, Any]) -> dict[str, Any]:
    (found,) = (check for check in result["checks"] if check["name"] == "anchor")
    return dict(found)


async def test_a_cycle_is_compared_at_the_block_of_its_own_anchor(place: Place) -> None:
    for cycle in (1, 2):
        code, result = await place.audit("cycle", str(cycle), "--episodes", "0")
        block = (await place.anchored(cycle)).block
        assert (code, anchor_of(result)["detail"]) == (0, f"the chain has it at block {block}")


async def test_a_cycle_whose_anchor_is_replaced_and_discarded_is_not_judged(place: Place, log_api: Api) -> None:
    place.prune()
    code, result = await place.audit("cycle", "1", "--episodes", "0")
    found = anchor_of(result)
    assert (code, found["same"]) == (0, None)
    assert "state discarded" in found["detail"]
    code, result = await place.audit("cycle", "1", "--episodes", "0", *WHOSE, api=log_api)
    assert (code, anchor_of(result)["same"]) == (0, None)


async def test_a_cycle_with_another_root_on_the_chain_differs(place: Place, log_api: Api) -> None:
    ours = await place.anchored(2)
    place.commit(Anchor(CycleId(2), "ee" * 32).text)
    code, result = await place.audit("cycle", "2", "--episodes", "0", *WHOSE, api=log_api)
    found = anchor_of(result)
    assert (code, found["same"]) == (1, False)
    assert "ee" * 32 in found["difference"]["found"]
    assert ours.history_root in found["difference"]["expected"]


async def test_without_a_name_in_log_or_options_nothing_is_compared(place: Place, log_api: Api) -> None:
    out, code = await run("history", "--api-url", log_api.base_url, "--chain-endpoint", place.node.url)
    assert (out, code) == ("", 2)
