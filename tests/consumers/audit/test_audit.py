"""What was really run audits as identical, and whatever is changed about it is found and named."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import numpy as np
import pytest

from consumers.audit.again import Again, Simulators, run_again
from consumers.audit.case import CannotAudit, Case, NoSuchEpisode, NotYetPublic, TraceGone
from consumers.audit.checks import Audit, check_again
from consumers.audit.episode import audit
from consumers.audit.sources import LogSource
from events import subjects
from events.connection import Connection
from events.ids import EpisodeKey
from events.stream_settings import TRACES
from events.variation import NO_VARIATION
from sim.record import Record, decode_record, encode_record
from sim.trace import action_digest, encode_trace
from tests.cli.conftest import PROGRAM
from tests.consumers.audit.conftest import EXPERTS, UNSEALED, Evaluated


@pytest.fixture
async def case(source: LogSource) -> Case:
    return await source.case(EXPERTS)


@pytest.fixture
def record(case: Case) -> Record:
    return decode_record(case.recording)


def recorded(case: Case, record: Record) -> Case:
    return replace(case, recording=encode_record(record))


def claiming(case: Case, **changes: object) -> Case:
    return replace(case, claim=replace(case.claim, **changes))  # type: ignore[arg-type]


async def test_every_episode_is_identical_in_another_process(
    evaluated: Evaluated, source: LogSource, elsewhere: Simulators
) -> None:
    cases = [await source.case(key) for key in evaluated.keys]
    audits = [await audit(case, elsewhere) for case in cases]
    assert {each.verdict for each in audits} == {"identical"}
    forfeited = [case.claim.steps for case in cases if case.claim.forfeited]
    assert any(steps > 0 for steps in forfeited), "an episode that was forfeited in its middle belongs to this"


def test_the_command_says_identical(evaluated: Evaluated) -> None:
    done = _audited(EXPERTS, "--nats-url", evaluated.nats_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].strip() == "identical"


def test_the_command_cannot_audit_what_is_not_public(evaluated: Evaluated) -> None:
    done = _audited(EpisodeKey(UNSEALED.cycle, EXPERTS.uid, EXPERTS.env, 0), "--nats-url", evaluated.nats_url)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cycle 2 has not ended" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def _audited(key: EpisodeKey, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "audit", "episode", key.id, *options], capture_output=True, text=True, timeout=100
    )


async def test_a_forged_reward_is_found_at_its_step(case: Case, record: Record, elsewhere: Simulators) -> None:
    rewards = list(record.track.rewards)
    rewards[16] += 0.01
    forged = recorded(case, replace(record, track=replace(record.track, rewards=tuple(rewards))))
    assert _differs(await audit(forged, elsewhere)) == ("rewards", 17)


async def test_forged_actions_are_found_at_their_step(case: Case, record: Record, elsewhere: Simulators) -> None:
    actions = record.actions
    actions[11] = -actions[11]
    result = await audit(recorded(case, replace(record, trace=encode_trace(actions))), elsewhere)
    assert _differs(result) == ("rewards", 12)
    assert [check.same for check in result.checks if check.name == "actions"] == [False]


async def test_actions_forged_together_with_their_digest_are_found(
    case: Case, record: Record, elsewhere: Simulators
) -> None:
    actions = record.actions
    actions[11] = -actions[11]
    evidence = case.claim.evidence.model_copy(update={"action_digest": action_digest(actions)})
    forged = claiming(recorded(case, replace(record, trace=encode_trace(actions))), evidence=evidence)
    assert _differs(await audit(forged, elsewhere)) == ("rewards", 12)


async def test_a_forged_checkpoint_is_found_within_its_interval(
    case: Case, record: Record, elsewhere: Simulators
) -> None:
    first, *rest = record.track.checkpoints
    forged = replace(record, track=replace(record.track, checkpoints=(first, "00" * 8, *rest[1:])))
    result = await audit(recorded(case, forged), elsewhere)
    assert _differs(result) == ("states", 25)
    assert "after step 0, by step 25" in result.verdict


@pytest.mark.parametrize(
    ("changes", "tells"),
    [
        ({"success": False}, "success True here, False in the outcome"),
        ({"total_reward": 1e6}, "the outcome says 1000000.0"),
        ({"steps": 59}, "59 in the outcome"),
        ({"truncated": True}, "truncated False here, True in the outcome"),
    ],
)
async def test_a_forged_outcome_is_found(
    case: Case, elsewhere: Simulators, changes: dict[str, object], tells: str
) -> None:
    assert tells in (await audit(claiming(case, **changes), elsewhere)).verdict


@pytest.mark.parametrize(
    ("digest", "name"), [("final_state_digest", "final state"), ("variation_digest", "variation")]
)
async def test_a_forged_digest_is_found(case: Case, elsewhere: Simulators, digest: str, name: str) -> None:
    evidence = case.claim.evidence.model_copy(update={digest: "0" * 64})
    first = (await audit(claiming(case, evidence=evidence), elsewhere)).first_difference
    assert first is not None
    assert first.name == name


async def test_other_ranges_of_variation_than_the_plans_are_found(case: Case, elsewhere: Simulators) -> None:
    plan = case.plan.model_copy(update={"terms": case.plan.terms.model_copy(update={"variation": NO_VARIATION})})
    assert _differs(await audit(replace(case, plan=plan), elsewhere)) == ("variation", 0)


async def test_another_secret_than_the_committed_one_is_found(case: Case, elsewhere: Simulators) -> None:
    assert "secret" in (await audit(replace(case, secret="11" * 32), elsewhere)).verdict


async def test_the_recording_of_another_episode_is_found(
    case: Case, source: LogSource, evaluated: Evaluated, elsewhere: Simulators
) -> None:
    other = await source.case(evaluated.keys[-1])
    result = await audit(replace(case, recording=other.recording), elsewhere)
    assert f"is of episode {other.key.id}" in result.verdict


async def test_a_damaged_recording_is_a_difference(case: Case, elsewhere: Simulators) -> None:
    result = await audit(replace(case, recording=case.recording[:-9]), elsewhere)
    assert not result.agrees
    assert "cut off" in result.verdict


async def test_actions_that_cannot_be_run_are_a_difference(case: Case, record: Record, elsewhere: Simulators) -> None:
    actions = record.actions
    actions[3, 0] = np.nan
    result = await audit(recorded(case, replace(record, trace=encode_trace(actions))), elsewhere)
    assert "cannot be run" in " ".join(check.detail for check in result.checks)


def test_with_other_versions_success_and_reward_are_judged_and_nothing_else(case: Case, record: Record) -> None:
    again = run_again(case.spec(), record.actions)
    physics = replace(again.physics, total_reward=again.physics.total_reward * 1.01, final_state_digest="0" * 64)
    newer = {**again.versions, "mujoco": "3.3.2"}
    result = check_again(case, record, replace(again, physics=physics, versions=newer))
    assert (result.agrees, result.is_exact) == (True, False)
    assert "exactness is not to be expected" in result.verdict
    assert any("mujoco 3.3.0 there, 3.3.2 here" in check.detail for check in result.checks)


def test_beyond_the_tolerance_it_differs_on_any_machine(case: Case, record: Record) -> None:
    again = run_again(case.spec(), record.actions)
    physics = replace(again.physics, total_reward=again.physics.total_reward * 1.5)
    elsewhere = replace(again, physics=physics, machine="aarch64, somebody's")
    assert "total reward" in check_again(case, record, elsewhere).verdict


def test_avx_512_alone_makes_no_other_machine(case: Case, record: Record) -> None:
    again: Again = run_again(case.spec(), record.actions)
    other = "x86_64, another one, avx2 fma avx512f"
    evidence = case.claim.evidence.model_copy(update={"machine": "x86_64, one, avx2 fma"})
    result = check_again(claiming(case, evidence=evidence), record, replace(again, machine=other))
    assert result.is_exact


@pytest.mark.parametrize(
    ("key", "error", "tells"),
    [
        ("99.0.metaworld.reach-v3.0", NoSuchEpisode, "there is no cycle 99"),
        ("1.99.metaworld.reach-v3.0", NoSuchEpisode, "no miner with uid 99"),
        ("1.0.metaworld.reach-v3.99", NoSuchEpisode, "they go from 0 to 0"),
        ("1.0.metaworld.hammer-v3.0", NoSuchEpisode, "no environment metaworld/hammer-v3"),
        ("2.0.metaworld.reach-v3.0", NotYetPublic, "cycle 2 has not ended"),
    ],
)
async def test_what_cannot_be_audited_is_told_apart(
    source: LogSource, key: str, error: type[CannotAudit], tells: str
) -> None:
    with pytest.raises(error, match=tells):
        await source.case(EpisodeKey.parse(key))


async def test_an_expired_recording_says_how_long_they_are_kept(
    evaluated: Evaluated, source: LogSource, nats_of_cycle: Connection
) -> None:
    key = evaluated.keys[-1]
    case = await source.case(key)
    subject = subjects.trace(key, case.claim.attempt, case.claim.evidence.action_digest)
    await nats_of_cycle.api(f"STREAM.PURGE.{TRACES}", {"filter": subject})
    with pytest.raises(TraceGone, match="kept for 72 h"):
        await source.case(key)


def _differs(result: Audit) -> tuple[str, int | None]:
    first = result.first_difference
    assert first is not None, result
    return first.name, first.step
