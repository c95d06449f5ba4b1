"""Nothing is scored that is not exactly what was sealed."""

from __future__ import annotations

import pytest

from consumers.scoring.evidence import EvidenceRefused, read_evidence
from consumers.scoring.rates import tally
from events.codec import draft
from events.cycles import CycleSealed, OutcomeCounts
from events.envelope import begin
from events.ids import EpisodeKey
from events.memory import MemoryLog
from events.metagraph import ChainTerms
from tests.controls import facts
from tests.controls.sealed_cycles import append_sealed, append_unsealed, outcomes_of, seal_of

PLAN = facts.planned()


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


async def test_a_true_seal_gives_the_plan_and_one_outcome_per_episode(log: MemoryLog) -> None:
    seal = await append_sealed(log, PLAN, outcomes_of(PLAN), extra=[facts.attempt_failed()])
    evidence = await read_evidence(log, seal)
    assert evidence.plan == PLAN
    assert evidence.tallies == tally(PLAN, outcomes_of(PLAN))


async def test_who_lost_its_uid_is_part_of_it(log: MemoryLog) -> None:
    plan = facts.planned(chain=facts.chain_terms())
    seal = await append_sealed(log, plan, outcomes_of(plan), extra=[facts.slots_checked(moved=(1,))])
    assert (await read_evidence(log, seal)).moved == {1}


@pytest.mark.parametrize(
    ("chain", "moved"), [(facts.chain_terms(), (7,)), (None, (0,)), (None, ())], ids=["uid", "chain", "nobody"]
)
async def test_slots_that_are_not_the_plans_are_refused(
    log: MemoryLog, chain: ChainTerms | None, moved: tuple[int, ...]
) -> None:
    plan = facts.planned(chain=chain)
    seal = await append_sealed(log, plan, outcomes_of(plan), extra=[facts.slots_checked(moved=moved)])
    with pytest.raises(EvidenceRefused, match="are not those of the plan"):
        await read_evidence(log, seal)


async def test_other_cycles_in_between_do_not_matter(log: MemoryLog) -> None:
    first, second = facts.planned(1), facts.planned(2)
    await append_unsealed(log, first, outcomes_of(first)[:3])
    seal_of_second = await append_sealed(log, second, outcomes_of(second))
    assert (await read_evidence(log, seal_of_second)).plan == second


async def test_what_comes_after_the_seal_does_not_count(log: MemoryLog) -> None:
    seal = await append_sealed(log, PLAN, outcomes_of(PLAN))
    await log.append([draft(begin(facts.attempt_failed(), source="/test"))])
    assert (await read_evidence(log, seal)).tallies == tally(PLAN, outcomes_of(PLAN))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"merkle_root": "0" * 64}, "Merkle root"),
        ({"tree_size": 9}, "covers 9 events"),
        ({"last_sequence": 9}, "the log has 9"),
        ({"first_sequence": 2}, "the log has 9"),
        ({"outcomes": OutcomeCounts(completed=7, forfeited=1, abandoned=0)}, "counts"),
        ({"secret": "00" * 32}, "secret"),
    ],
)
async def test_a_tampered_seal_is_refused(log: MemoryLog, change: dict[str, object], message: str) -> None:
    seal = await append_sealed(log, PLAN, outcomes_of(PLAN))
    tampered = CycleSealed.model_validate(seal.model_dump() | change)
    with pytest.raises(EvidenceRefused, match=message):
        await read_evidence(log, tampered)


async def test_an_episode_that_was_not_planned_is_refused(log: MemoryLog) -> None:
    stranger = facts.completed(EpisodeKey(PLAN.cycle, facts.key().uid, facts.REACH, PLAN.episodes_per_environment))
    await append_unsealed(log, PLAN, [*outcomes_of(PLAN)[1:], stranger])
    with pytest.raises(EvidenceRefused, match="2 episodes"):
        await read_evidence(log, await seal_of(log, PLAN))
