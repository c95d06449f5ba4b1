from __future__ import annotations

import asyncio

import numpy as np
import orjson
import pytest

from events.ids import EnvId, Seed
from sim.episode import EpisodeForfeit, EpisodeResult, EpisodeSpec, LatencySummary, run_episode
from sim.errors import InvalidAction, UnknownEnvironment, UnknownProfile
from sim.experts import PolicyKind
from sim.http.clock import GRACE_S
from sim.http.policy import HttpPolicy
from sim.http.server import PolicyServer
from sim.policy import Decision, PolicyFailure, TaskConfig
from sim.rl_interface import Action, Observation
from sim.spec import ActionSpec
from sim.stage import SimulationThread
from sim.suite import DEFAULT_ENVIRONMENTS
from sim.trace import decode_trace, resimulate
from tests.sim.http import hostile
from tests.sim.http.hostile import http, raw_server
from tests.sim.in_process import NOTHING, InProcessPolicy, expert

PUSH = EnvId("metaworld/push-v3")
REACH = EnvId("metaworld/reach-v3")


def spec(env: EnvId = REACH, seed: int = 1, **changes: object) -> EpisodeSpec:
    patient: dict[str, object] = {"act_deadline_ms": 30_000.0, "reset_deadline_ms": 30_000.0}
    fields = {**patient, "profile": "state/1", "index": seed, **changes}
    return EpisodeSpec(env=env, seed=Seed(seed), **fields)  # type: ignore[arg-type]


async def over_http(url: str, episode: EpisodeSpec, stage: SimulationThread) -> EpisodeResult | EpisodeForfeit:
    async with HttpPolicy(url, allow_private_addresses=True) as policy:
        return await run_episode(episode, policy, stage)


async def successes(kind: PolicyKind, episodes: list[EpisodeSpec], stage: SimulationThread) -> list[bool]:
    """Of the episodes through real HTTP, all in flight at once."""
    async with PolicyServer(kind) as server:
        outcomes = await asyncio.gather(*(over_http(server.url, episode, stage) for episode in episodes))
    assert all(isinstance(outcome, EpisodeResult) for outcome in outcomes)
    return [outcome.physics.success for outcome in outcomes]


EPISODES = [spec(env, seed) for env in DEFAULT_ENVIRONMENTS for seed in (101, 102)]


async def test_the_experts_solve_the_tasks_over_http(stage: SimulationThread) -> None:
    assert sum(await successes(PolicyKind.EXPERT, EPISODES, stage)) >= 15


@pytest.mark.slow
async def test_the_noisy_expert_is_worse_than_the_expert_and_better_than_random(
    stage: SimulationThread,
) -> None:
    noisy = sum(await successes(PolicyKind.NOISY, EPISODES, stage))
    random = sum(await successes(PolicyKind.RANDOM, EPISODES, stage))
    assert random + 3 <= noisy <= 11


async def test_the_same_episode_has_the_same_outcome_however_many_run_beside_it(
    stage: SimulationThread, expert_server: PolicyServer
) -> None:
    alone = await over_http(expert_server.url, spec(PUSH, 5), stage)
    crowd = await asyncio.gather(*(over_http(expert_server.url, spec(PUSH, seed), stage) for seed in (4, 5, 6, 5)))
    assert crowd[1].physics == crowd[3].physics == alone.physics
    assert crowd[0].physics != alone.physics


@pytest.mark.parametrize("kind", [PolicyKind.NOISY, PolicyKind.RANDOM])
async def test_noise_is_the_same_again_after_a_restart_of_the_policy(
    kind: PolicyKind, stage: SimulationThread
) -> None:
    outcomes = []
    for _ in range(2):
        async with PolicyServer(kind) as server:
            outcomes.append(await over_http(server.url, spec(PUSH, 5, max_steps=40), stage))
    assert outcomes[0].physics == outcomes[1].physics


async def test_a_result_says_what_happened(stage: SimulationThread, expert_server: PolicyServer) -> None:
    result = await over_http(expert_server.url, spec(REACH, 3), stage)
    assert isinstance(result, EpisodeResult)
    physics = result.physics
    assert (physics.success, physics.terminated, physics.truncated) == (True, True, False)
    assert 10 < physics.steps < 200
    assert physics.total_reward > 0
    assert set(physics.variation) == {f"rand_vec_{i}" for i in range(6)}
    assert len(bytes.fromhex(physics.action_digest)) == len(bytes.fromhex(physics.final_state_digest)) == 32
    assert result.act_latency.count == physics.steps
    assert 0 <= result.act_latency.p50_ms <= result.act_latency.max_ms <= result.wall_s * 1000 + GRACE_S * 1000
    assert result.wall_s > 0


async def test_the_step_limit_ends_an_episode(stage: SimulationThread) -> None:
    result = await run_episode(spec(max_steps=5), InProcessPolicy(lambda _: NOTHING), stage)
    assert (result.physics.steps, result.physics.truncated, result.physics.success) == (5, True, False)


async def test_the_policy_is_told_the_index_and_gets_no_seed(stage: SimulationThread) -> None:
    seed = 0xDEAD_BEEF_1234_5678
    async with raw_server() as server:
        await over_http(server.url, spec(REACH, seed, index=42, max_steps=2), stage)
    assert orjson.loads(server.requests[0][2])["task_config"]["task_id"] == 42
    assert all(str(seed).encode() not in body for _, _, body in server.requests)


async def test_a_policy_that_fails_forfeits_with_what_had_happened(stage: SimulationThread) -> None:
    calls = 0

    async def good_then_nan(writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        bad = b'{"action":{"continuous":{"gripper":[NaN]}}}'
        writer.write(http(hostile.GOOD_ACTION if calls <= 3 else bad))

    async with raw_server(act=good_then_nan) as server:
        forfeit = await over_http(server.url, spec(), stage)
    assert isinstance(forfeit, EpisodeForfeit)
    assert forfeit.code == PolicyFailure.NON_FINITE
    assert forfeit.physics.steps == forfeit.act_latency.count == 3
    assert resimulate(spec(), decode_trace(forfeit.trace)) == forfeit.physics


async def test_a_policy_that_was_never_there_forfeits_at_step_zero(stage: SimulationThread) -> None:
    forfeit = await over_http("http://127.0.0.1:9", spec(reset_deadline_ms=300), stage)
    assert isinstance(forfeit, EpisodeForfeit)
    assert forfeit.code == PolicyFailure.UNREACHABLE
    assert forfeit.physics.steps == 0
    assert forfeit.act_latency == LatencySummary(0, 0.0, 0.0)


async def test_a_failing_policy_disturbs_no_other_episode(
    stage: SimulationThread, expert_server: PolicyServer
) -> None:
    alone = await over_http(expert_server.url, spec(PUSH, 5), stage)
    async with raw_server(act=hostile.floods) as flood, raw_server(act=hostile.drips) as drip:
        good, *bad = await asyncio.gather(
            over_http(expert_server.url, spec(PUSH, 5), stage),
            over_http(flood.url, spec(PUSH, 5), stage),
            over_http(drip.url, spec(PUSH, 5, act_deadline_ms=200.0), stage),
        )
    assert good.physics == alone.physics
    assert [forfeit.code for forfeit in bad if isinstance(forfeit, EpisodeForfeit)] == [
        PolicyFailure.BODY_TOO_LARGE,
        PolicyFailure.DEADLINE_MISSED,
    ]


class StuckPolicy(InProcessPolicy):
    """Acts three times and then never again."""

    def __init__(self) -> None:
        super().__init__(expert)
        self.stuck = asyncio.Event()
        self.acts = 0

    async def act(self, observation: Observation, spec: ActionSpec, *, deadline_ms: float) -> Decision:
        self.acts += 1
        if self.acts > 3:
            self.stuck.set()
            await asyncio.Event().wait()
        return await super().act(observation, spec, deadline_ms=deadline_ms)


async def test_a_cancelled_episode_leaves_a_clean_environment(stage: SimulationThread) -> None:
    expected = await run_episode(spec(PUSH, 5), InProcessPolicy(expert), stage)
    policy = StuckPolicy()
    running = asyncio.create_task(run_episode(spec(PUSH, 8), policy, stage))
    await policy.stuck.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    again = await run_episode(spec(PUSH, 5), InProcessPolicy(expert), stage)
    assert again.physics == expected.physics


async def test_an_episode_cancelled_at_any_moment_leaves_a_clean_environment(stage: SimulationThread) -> None:
    expected = await run_episode(spec(PUSH, 5), InProcessPolicy(expert), stage)
    for loops_before in (1, 2, 3, 5, 8, 13):
        running = asyncio.create_task(run_episode(spec(PUSH, 8), InProcessPolicy(expert), stage))
        for _ in range(loops_before):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    again = await run_episode(spec(PUSH, 5), InProcessPolicy(expert), stage)
    assert again.physics == expected.physics


async def test_our_own_failure_is_not_held_against_the_policy(stage: SimulationThread) -> None:
    """A policy of our own that breaks its contract is a bug of ours: it raises, and is no forfeit."""
    nan = Action({"ee_twist": np.full(6, np.nan, np.float32)})
    with pytest.raises(InvalidAction):
        await run_episode(spec(), InProcessPolicy(lambda _: nan), stage)


async def test_an_unknown_environment_or_profile_is_said(stage: SimulationThread) -> None:
    policy = InProcessPolicy(expert)
    with pytest.raises(UnknownEnvironment, match="metaworld/push-v3"):
        await run_episode(spec(EnvId("metaworld/push-v9")), policy, stage)
    with pytest.raises(UnknownProfile, match="rgb84/1, state/1"):
        await run_episode(spec(profile="rgb9000/1"), policy, stage)


async def test_a_task_config_names_family_and_task() -> None:
    assert TaskConfig(PUSH, 3).json() == {
        "env_id": "metaworld/push-v3",
        "env_name": "metaworld",
        "task_name": "push-v3",
        "task_id": 3,
    }
