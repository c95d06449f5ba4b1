"""What a miner did in the evaluation, beside what it committed: real physics, sandbox and HTTP, episodes at once.

`KINITRO_TESTS_LONG=1` makes 200 checks of each kind of policy instead of 20.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from consumers.verification.check import check
from consumers.verification.evaluation import evaluation_of
from consumers.verification.probes import Probed, Sampled
from consumers.verification.sandbox.protocol import Sandbox
from consumers.verification.verdict import Failed, Finding, Passed
from events.ids import Seed, Uid
from events.tasks import CheckTask, ProbeTask
from events.verification import ComparedActions, Evaluated, FailureReason, Mismatch, Undecided
from sim.episode import EpisodeResult, EpisodeSpec, run_episode
from sim.playing import play
from sim.record import Record
from sim.stage import SimulationThread
from sim.trace import Track, decode_trace
from sim.versions import machine, versions
from tests.consumers.verification.deployed import make_policy_of, serving, write_perceptron
from tests.consumers.verification.policies import perceptron
from tests.consumers.verification.recorded import CAMERAS, ENVIRONMENTS, TERMS
from tests.consumers.verification.test_check import CHECKS, KINDS, LONG, endpoint, terms
from tests.controls import facts

STEPS = 8
MINER = Uid(0)
UNDER = replace(terms(), environments=ENVIRONMENTS)
Make = Callable[[], Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[SimulationThread]:
    async with SimulationThread() as stage:
        yield stage


def spec(number: int, seed: int = 0) -> EpisodeSpec:
    """One of three environments, so that episodes that run at once are of different ones."""
    return EpisodeSpec(
        env=ENVIRONMENTS[number % len(ENVIRONMENTS)],
        seed=Seed(1000 * seed + number),
        index=number,
        profile=TERMS.observation_profile,
        max_steps=STEPS,
        variation=TERMS.variation,
        act_deadline_ms=TERMS.act_deadline_ms,
        reset_deadline_ms=TERMS.reset_deadline_ms,
    )


async def evaluated(url: str, specs: Sequence[EpisodeSpec], stage: SimulationThread) -> list[EpisodeResult]:
    """Episodes of the server, all at once, each over a connection of its own."""

    async def one(it: EpisodeSpec) -> EpisodeResult:
        async with endpoint(url).policy() as policy:
            result = await run_episode(it, policy, stage)
        assert isinstance(result, EpisodeResult), result
        return result

    return list(await asyncio.gather(*map(one, specs)))


async def own_probe(
    it: EpisodeSpec, result: EpisodeResult, step: int, stage: SimulationThread, **other: object
) -> Probed:
    """As a verifier makes it from the recording; `other` alters the task or its probe."""
    probe = ProbeTask(
        uid=MINER,
        env=it.env,
        index=it.index,
        seed=it.seed,
        attempt=1,
        action_digest=result.physics.action_digest,
        step=step,
        versions=versions(),
        machine=machine(),
    ).model_copy(update={name: value for name, value in other.items() if name in ProbeTask.model_fields})
    task: CheckTask = facts.check_task().model_copy(update={"terms": other.get("terms", TERMS)})
    track = other.get("track", result.track)
    assert isinstance(track, Track)
    record = Record(trace=result.trace, track=track, variation=result.physics.variation)
    played = await play(it, decode_trace(result.trace), step, stage)
    sample = Sampled(MINER, it.env, it.index, step)
    return Probed(sample, played.observations, played.action_spec, evaluation_of(task, probe, record, played))


async def checked(
    sandbox: Sandbox, committed: Path, make: Make, stage: SimulationThread, *, seed: int = 0, episodes: int = 3
) -> Finding:
    """Evaluates the server, and then checks it with the recordings of that."""
    random = np.random.default_rng(seed)
    specs = [spec(number, seed) for number in range(episodes)]
    async with serving(make) as server:
        results = await evaluated(server.url, specs, stage)
        probes = [
            await own_probe(it, result, int(random.integers(0, result.physics.steps)), stage)
            for it, result in zip(specs, results, strict=True)
        ]
        return await check(sandbox, committed, endpoint(server.url), probes, UNDER)


def samples_of(finding: Finding) -> list[Evaluated]:
    assert isinstance(finding, Passed | Failed), finding
    assert isinstance(finding.compared, ComparedActions)
    return [it.evaluated for it in finding.compared.samples if it.evaluated is not None]


def undecided(finding: Finding) -> set[Undecided | None]:
    return {it.undecided for it in samples_of(finding)}


class Recognising:
    """Acts as committed in every episode that it has begun before, and as another in a new one."""

    def __init__(self, committed: Make, other: Make, seen: set[bytes]) -> None:
        self._committed, self._other, self._seen = committed(), other(), seen
        self._first = True
        self._acting: Any = None

    def reset(self, task_config: dict[str, Any]) -> None:
        for each in (self._committed, self._other):
            each.reset(task_config)
        self._first = True

    def act(self, obs: dict[str, Any]) -> Any:
        if self._first:
            episode = (
                b"".join(np.asarray(each).tobytes() for each in obs["proprio"].values()) + repr(obs["extra"]).encode()
            )
            self._acting = self._committed if episode in self._seen else self._other
            self._seen.add(episode)
            self._first = False
        return self._acting.act(obs)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_server_that_recognises_what_it_was_evaluated_with_fails(
    stage: SimulationThread, sandbox: Sandbox, tmp_path: Path
) -> None:
    committed = write_perceptron(tmp_path / "committed", perceptron(0))
    other = write_perceptron(tmp_path / "other", perceptron(1))
    seen: set[bytes] = set()
    both = make_policy_of(committed), make_policy_of(other)
    finding = await checked(sandbox, committed, lambda: Recognising(*both, seen), stage)
    assert isinstance(finding, Failed), finding
    assert finding.reason is FailureReason.EVALUATION_DIFFERS
    assert finding.compared is not None
    assert {it.mismatch for it in finding.compared.samples} == {Mismatch.EVALUATION_DIFFERS}
    assert finding.compared.score == 1.0  # as it answers now
    worst = max(finding.compared.samples, key=lambda it: it.evaluated.error if it.evaluated else 0.0)
    assert f"at step {worst.step} of {worst.env} #{worst.index} it gave" in finding.detail


@pytest.mark.asyncio(loop_scope="module")
async def test_by_its_answers_alone_it_would_pass(stage: SimulationThread, sandbox: Sandbox, tmp_path: Path) -> None:
    committed = write_perceptron(tmp_path / "committed", perceptron(0))
    other = write_perceptron(tmp_path / "other", perceptron(1))
    seen: set[bytes] = set()
    both = make_policy_of(committed), make_policy_of(other)
    async with serving(lambda: Recognising(*both, seen)) as server:
        [result] = await evaluated(server.url, [spec(0)], stage)
        probe = replace(await own_probe(spec(0), result, 5, stage), evaluation=None)
        finding = await check(sandbox, committed, endpoint(server.url), [probe], UNDER)
    assert isinstance(finding, Passed), finding


DECIDED = {"deterministic": {None}, "stateful": {Undecided.KEEPS_STATE}, "seeded": {Undecided.KEEPS_STATE}}


@pytest.mark.timeout(3600 if LONG else 300)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.asyncio(loop_scope="module")
async def test_no_honest_policy_fails_by_its_evaluation(
    kind: str, stage: SimulationThread, sandbox: Sandbox, tmp_path: Path
) -> None:
    oddities, seeded = KINDS[kind]
    for seed in range(CHECKS):
        policy = perceptron(seed, **oddities)
        committed = write_perceptron(tmp_path / f"committed-{seed}", policy, seeded=seeded)
        served = write_perceptron(tmp_path / f"served-{seed}", policy.as_type(np.float64), seeded=seeded)
        finding = await checked(sandbox, committed, make_policy_of(served), stage, seed=seed)
        assert isinstance(finding, Passed), finding
        assert undecided(finding) == DECIDED[kind]


def one_for_all(directory: Path) -> Make:
    """A server with a single policy, whatever asks it: its episodes are mixed up."""
    only = make_policy_of(directory)()
    return lambda: only


@pytest.mark.parametrize("kind", ["stateful", "seeded"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_policy_that_mixed_up_its_episodes_is_not_failed_by_it(
    kind: str, stage: SimulationThread, sandbox: Sandbox, tmp_path: Path
) -> None:
    oddities, seeded = KINDS[kind]
    policy = write_perceptron(tmp_path / "policy", perceptron(3, **oddities), seeded=seeded)
    finding = await checked(sandbox, policy, one_for_all(policy), stage, episodes=4)
    assert isinstance(finding, Passed), finding
    assert undecided(finding) == {Undecided.KEEPS_STATE}
    assert max(it.error for it in samples_of(finding)) > 0.001  # it had been mixed up


BY_ENVIRONMENT = """
import numpy as np

class Policy:
    def reset(self, task_config):
        self.pull = {"reach-v3": 0.2, "push-v3": -0.4}.get(task_config["task_name"], 0.6)

    def act(self, obs):
        return {"continuous": {"ee_twist": np.full(6, self.pull), "gripper": np.ones(1)}}

def make_policy():
    return Policy()
"""
COUNTING = """
import numpy as np

class Policy:
    def reset(self, task_config):
        self.acts = 0

    def act(self, obs):
        self.acts += 1
        return {"continuous": {"ee_twist": np.full(6, 0.5 if self.acts > 12 else 0.1), "gripper": np.ones(1)}}

def make_policy():
    return Policy()
"""


@pytest.mark.asyncio(loop_scope="module")
async def test_a_policy_that_was_told_another_environment_by_a_mix_up_is_not_failed(
    stage: SimulationThread, sandbox: Sandbox, repository: Callable[[str], Path]
) -> None:
    code = repository(BY_ENVIRONMENT)
    finding = await checked(sandbox, code, one_for_all(code), stage)
    assert isinstance(finding, Passed), finding
    assert undecided(finding) == {None}
    assert any(it.given != it.committed for it in samples_of(finding))


@pytest.mark.asyncio(loop_scope="module")
async def test_one_that_acts_by_the_environment_alone_is_decided(
    stage: SimulationThread, sandbox: Sandbox, repository: Callable[[str], Path]
) -> None:
    code, other = repository(BY_ENVIRONMENT), repository(BY_ENVIRONMENT.replace("0.2", "0.3"))
    seen: set[bytes] = set()
    both = make_policy_of(code), make_policy_of(other)
    finding = await checked(sandbox, code, lambda: Recognising(*both, seen), stage)
    assert isinstance(finding, Failed), finding
    assert finding.reason is FailureReason.EVALUATION_DIFFERS
    assert finding.compared is not None
    assert [it.env for it in finding.compared.samples if it.mismatch is not None] == [ENVIRONMENTS[0]]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_policy_that_only_counts_keeps_a_state(
    stage: SimulationThread, sandbox: Sandbox, repository: Callable[[str], Path]
) -> None:
    code = repository(COUNTING)
    specs = [spec(number) for number in range(3)]
    async with serving(one_for_all(code)) as server:
        results = await evaluated(server.url, specs, stage)
        pairs = zip(specs, results, strict=True)
        probes = [await own_probe(it, result, STEPS - 1, stage) for it, result in pairs]
        finding = await check(sandbox, code, endpoint(server.url), probes, UNDER)
    assert isinstance(finding, Passed), finding
    assert undecided(finding) == {Undecided.KEEPS_STATE}


@pytest.mark.asyncio(loop_scope="module")
async def test_code_that_breaks_off_where_an_evaluation_would_not_ask_is_not_failed(
    stage: SimulationThread, sandbox: Sandbox, repository: Callable[[str], Path]
) -> None:
    code = repository(COUNTING.replace("self.acts += 1", f"self.acts += 1; assert self.acts <= {STEPS}"))
    finding = await checked(sandbox, code, make_policy_of(code), stage)
    assert isinstance(finding, Passed), finding
    assert undecided(finding) <= {Undecided.NOT_ANSWERED, None}
    assert Undecided.NOT_ANSWERED in undecided(finding)


@pytest.mark.asyncio(loop_scope="module")
async def test_code_that_does_not_repeat_itself_decides_nothing(
    stage: SimulationThread, sandbox: Sandbox, tmp_path: Path
) -> None:
    policy = write_perceptron(tmp_path / "policy", perceptron(0, noise=0.05))
    finding = await checked(sandbox, policy, make_policy_of(policy), stage)
    assert undecided(finding) == {Undecided.BY_DISTRIBUTION}


@pytest.mark.parametrize(
    ("altered", "expected"),
    [
        ({}, None),
        ({"machine": "aarch64, another"}, None),
        ({"machine": "aarch64, another", "terms": CAMERAS}, Undecided.OTHER_MACHINE),
        ({"terms": CAMERAS}, Undecided.OTHER_OBSERVATIONS),
        ({"versions": {**versions(), "mujoco": "0"}}, Undecided.OTHER_VERSIONS),
        ({"track": Track((0.5,) * STEPS, ("0" * 16,))}, Undecided.OTHER_OBSERVATIONS),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_it_decides_only_where_the_observations_are_those_of_the_evaluation(
    altered: dict[str, object],
    expected: Undecided | None,
    stage: SimulationThread,
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    committed = write_perceptron(tmp_path / "committed", perceptron(0))
    other = write_perceptron(tmp_path / "other", perceptron(1))
    async with serving(make_policy_of(other)) as server:
        [result] = await evaluated(server.url, [spec(0)], stage)
    probe = await own_probe(spec(0), result, 5, stage, **altered)
    async with serving(make_policy_of(committed)) as server:
        finding = await check(sandbox, committed, endpoint(server.url), [probe], UNDER)
    assert isinstance(finding, Passed if expected else Failed), finding
    assert undecided(finding) == {expected}
    assert samples_of(finding)[0].error > 0.001
