"""The whole check: real physics, the committed code in a real sandbox, the endpoint over real HTTP.

`KINITRO_TESTS_LONG=1` makes 200 checks of each kind of policy instead of 10, and of longer episodes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from aiohttp import web

from consumers.simulation.network import OwnNetwork
from consumers.verification import budget, committed_code
from consumers.verification import committed as asking
from consumers.verification import served as serving_side
from consumers.verification.check import check
from consumers.verification.limits import sandbox_limits
from consumers.verification.probes import Probed
from consumers.verification.sandbox.protocol import Sandbox
from consumers.verification.served import Endpoint
from consumers.verification.terms import CheckTerms
from consumers.verification.verdict import Failed, Finding, Inconclusive, Passed
from events.verification import FailureReason, InconclusiveReason, Measure, Method, Mismatch
from sim.stage import SimulationThread
from tests.consumers.verification.conftest import Repository
from tests.consumers.verification.deployed import Before, serving, write_perceptron
from tests.consumers.verification.policies import Perceptron, perceptron
from tests.consumers.verification.recorded import TERMS, recorded

LONG = os.environ.get("KINITRO_TESTS_LONG") == "1"
CHECKS = 200 if LONG else 10
STEP_MAX = 30 if LONG else 6
SAMPLES = 5
KINDS = {
    "deterministic": ({}, False),
    "stateful": ({"memory": 0.5}, False),
    "seeded": ({"noise": 0.05}, True),
}
"""Oddities, and whether the code states that it is seeded."""
SMALL_TWIST = 0.05
"""Beside a gripper of about a half: measured as a whole, a hundredth of it is mostly within the tolerance."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[list[Probed]]:
    """Probes of thirty steps, to be cut shorter."""
    async with SimulationThread() as stage:
        yield [await (await recorded(number, stage)).probed(29, stage) for number in range(12)]


def some(pool: list[Probed], seed: int, samples: int = SAMPLES) -> list[Probed]:
    random = np.random.default_rng(seed)
    chosen = random.choice(len(pool), samples, replace=False)
    steps = random.integers(0, STEP_MAX, samples)
    return [
        replace(
            pool[number],
            sample=replace(pool[number].sample, step=int(step)),
            observations=pool[number].observations[: step + 1],
        )
        for number, step in zip(chosen, steps, strict=True)
    ]


def terms(
    *,
    act_deadline_ms: float = TERMS.act_deadline_ms,
    reset_ms: float = TERMS.reset_deadline_ms,
    within_s: float = 600.0,
) -> CheckTerms:
    return CheckTerms(
        tolerance=Decimal("0.001"),
        measure=Measure.BY_CHANNEL,
        seed=0,
        act_deadline_ms=act_deadline_ms,
        reset_deadline_ms=reset_ms,
        within_s=within_s,
    )


def endpoint(url: str, *, retry_s: float = 0.0) -> Endpoint:
    return Endpoint(url, own_network=OwnNetwork(allow_private=True), allow_private=True, retry_s=retry_s)


async def checked(
    sandbox: Sandbox,
    directory: Path,
    served: Path,
    probes: list[Probed],
    under: CheckTerms | None = None,
    before: Before | None = None,
) -> Finding:
    async with serving(served, before) as server:
        return await check(sandbox, directory, endpoint(server.url), probes, under or terms())


def altered(policy: Perceptron, seed: int) -> Perceptron:
    """One layer by a hundredth: all of it, or each weight up or down."""
    layer, random = seed % 3, np.random.default_rng(seed)
    factors = 1.01 if seed % 2 else 1 + 0.01 * random.choice([-1, 1], policy.weights[layer].shape)
    return policy.with_altered_layer(layer, factors)


@pytest.mark.timeout(3600 if LONG else 300)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.asyncio(loop_scope="module")
async def test_no_honest_policy_fails(kind: str, pool: list[Probed], sandbox: Sandbox, tmp_path: Path) -> None:
    oddities, seeded = KINDS[kind]
    for seed in range(CHECKS):
        policy = perceptron(seed, **oddities)
        committed = write_perceptron(tmp_path / f"committed-{seed}", policy, seeded=seeded)
        served = write_perceptron(tmp_path / f"served-{seed}", policy.as_type(np.float64), seeded=seeded)
        finding = await checked(sandbox, committed, served, some(pool, seed))
        assert isinstance(finding, Passed), finding
        assert finding.compared.method is Method.BY_VALUE
        assert finding.compared.seeded == seeded


@pytest.mark.timeout(3600 if LONG else 300)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.asyncio(loop_scope="module")
async def test_no_policy_passes_with_one_layer_altered_by_a_hundredth(
    kind: str, pool: list[Probed], sandbox: Sandbox, tmp_path: Path
) -> None:
    oddities, seeded = KINDS[kind]
    for seed in range(CHECKS):
        policy = perceptron(seed, **oddities)
        committed = write_perceptron(tmp_path / f"committed-{seed}", policy, seeded=seeded)
        served = write_perceptron(tmp_path / f"served-{seed}", altered(policy, seed), seeded=seeded)
        finding = await checked(sandbox, committed, served, some(pool, seed))
        assert isinstance(finding, Failed), finding
        assert finding.reason is FailureReason.ACTIONS_DIFFER


@pytest.mark.timeout(3600 if LONG else 300)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.asyncio(loop_scope="module")
async def test_no_policy_passes_with_a_small_twist_alone_altered_by_a_hundredth(
    kind: str, pool: list[Probed], sandbox: Sandbox, tmp_path: Path
) -> None:
    """The twist itself, or the weights that lead to it alone, each up or down."""
    oddities, seeded = KINDS[kind]
    for seed in range(CHECKS):
        policy, random = perceptron(seed, **oddities), np.random.default_rng(seed)
        committed = write_perceptron(tmp_path / f"committed-{seed}", policy, seeded=seeded, twist=SMALL_TWIST)
        twist, other = 1.01 * SMALL_TWIST, policy
        if seed % 2:
            factors = 1 + 0.01 * random.choice([-1, 1], policy.weights[2].shape)
            factors[:, 6:] = 1
            twist, other = SMALL_TWIST, policy.with_altered_layer(2, factors)
        served = write_perceptron(tmp_path / f"served-{seed}", other, seeded=seeded, twist=twist)
        finding = await checked(sandbox, committed, served, some(pool, seed))
        assert isinstance(finding, Failed), finding
        assert finding.reason is FailureReason.ACTIONS_DIFFER


@pytest.mark.asyncio(loop_scope="module")
async def test_both_sides_are_asked_the_same_from_a_reset_on(
    pool: list[Probed], sandbox: Sandbox, tmp_path: Path
) -> None:
    policy = write_perceptron(tmp_path / "policy", perceptron(0, memory=0.5))
    probes = some(pool, 1)
    async with serving(policy) as server:
        finding = await check(sandbox, policy, endpoint(server.url), probes, terms())
    assert isinstance(finding, Passed)
    assert server.resets == [probe.task.json() for probe in probes]
    assert len(server.acts) == sum(len(probe.observations) for probe in probes)
    assert [each.step for each in finding.compared.samples] == [probe.sample.step for probe in probes]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_little_noise_of_the_endpoint_alone_is_no_excuse(
    pool: list[Probed], sandbox: Sandbox, tmp_path: Path
) -> None:
    committed = write_perceptron(tmp_path / "committed", perceptron(0))
    served = write_perceptron(tmp_path / "served", perceptron(0, noise=0.02))
    finding = await checked(sandbox, committed, served, some(pool, 1))
    assert isinstance(finding, Failed)
    assert finding.compared is not None
    assert finding.compared.method is Method.BY_VALUE
    assert "serve the revision that is committed" in finding.detail


@pytest.mark.asyncio(loop_scope="module")
async def test_committed_code_that_does_not_repeat_itself_is_compared_by_distribution(
    pool: list[Probed], sandbox: Sandbox, tmp_path: Path
) -> None:
    policy = write_perceptron(tmp_path / "policy", perceptron(0, noise=0.05))
    finding = await checked(sandbox, policy, policy, some(pool, 1))
    assert isinstance(finding, Passed), finding
    assert finding.compared.method is Method.BY_DISTRIBUTION
    assert {len(each.served) for each in finding.compared.samples} == {8}
    assert {len(each.committed) for each in finding.compared.samples} == {8}


@pytest.mark.asyncio(loop_scope="module")
async def test_another_policy_is_told_from_one_that_does_not_repeat_itself(
    pool: list[Probed], sandbox: Sandbox, tmp_path: Path
) -> None:
    committed = write_perceptron(tmp_path / "committed", perceptron(0, noise=0.02))
    served = write_perceptron(tmp_path / "served", perceptron(1, noise=0.02))
    finding = await checked(sandbox, committed, served, some(pool, 1))
    assert isinstance(finding, Failed)
    assert finding.reason is FailureReason.ACTIONS_DIFFER
    assert "not distributed" in finding.detail


@pytest.mark.asyncio(loop_scope="module")
async def test_of_code_that_does_not_repeat_itself_so_many_samples_are_compared_as_there_is_time_for(
    pool: list[Probed], sandbox: Sandbox, tmp_path: Path
) -> None:
    policy = write_perceptron(tmp_path / "policy", perceptron(0, noise=0.05))
    finding = await checked(sandbox, policy, policy, some(pool, 1), terms(act_deadline_ms=20_000, within_s=120.0))
    assert isinstance(finding, Passed)
    assert len(finding.compared.samples) == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_code_that_wrongly_states_that_it_is_seeded_fails(
    pool: list[Probed], sandbox: Sandbox, tmp_path: Path
) -> None:
    policy = write_perceptron(tmp_path / "policy", perceptron(0, noise=0.05))
    source = (policy / "policy.py").read_text()
    (policy / "policy.py").write_text(source.replace("'states_seeded': False", "'states_seeded': True"))
    finding = await checked(sandbox, policy, policy, some(pool, 1))
    assert isinstance(finding, Failed)
    assert finding.reason is FailureReason.NOT_REPEATED
    assert finding.compared is not None
    assert {each.mismatch for each in finding.compared.samples} == {Mismatch.NOT_REPEATED}


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ("raise KeyError('camera')", "raised KeyError: 'camera', at step 0 of metaworld/"),
        ("import os; os._exit(3)", "ended with status 3, at step 0"),
        ("return {}", "no valid action at step"),
        ("return {'continuous': {'gripper': [float('nan')]}}", "no valid action at step"),
        ("return {'continuous': {'gripper': [0.0] * 9_000_000}}", "of memory|allowed are 1048576"),
        ("return {'continuous': {'gripper': bytearray(5 << 30)}}", "of memory"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_code_that_is_no_policy_fails_and_nobody_is_called(
    act: str, said: str, pool: list[Probed], sandbox: Sandbox, repository: Repository
) -> None:
    code = repository(
        f"class Policy:\n    def reset(self, task_config): pass\n    def act(self, obs):\n        {act}\n"
        "def make_policy(): return Policy()\n"
    )
    finding = await check(sandbox, code, endpoint("http://127.0.0.1:1"), some(pool, 1, 1), terms())
    assert isinstance(finding, Failed)
    assert finding.reason is FailureReason.CODE_FAILED
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(finding.detail)


@pytest.mark.asyncio(loop_scope="module")
async def test_slow_code_has_a_second_chance_and_then_fails_with_the_limit(
    pool: list[Probed], sandbox: Sandbox, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "sandbox_limits", lambda within_s: replace(sandbox_limits(within_s), answer_s=0.5))
    code = repository(
        "import time\n"
        "class Policy:\n    def reset(self, task_config): time.sleep(60)\n"
        "def make_policy(): return Policy()\n"
    )
    finding = await check(sandbox, code, endpoint("http://127.0.0.1:1"), some(pool, 1, 1), terms())
    assert isinstance(finding, Failed)
    assert "gave no answer within 0.5 s, at the reset of" in finding.detail


@pytest.mark.asyncio(loop_scope="module")
async def test_code_that_delays_every_answer_a_little_fails_too(
    pool: list[Probed], sandbox: Sandbox, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committed_code, "code_allowance_s", lambda acts: 0.05 * acts)
    code = repository(
        "import time\n"
        "class Policy:\n    def reset(self, task_config): pass\n"
        "    def act(self, obs):\n        time.sleep(0.2)\n        return {'continuous': {}}\n"
        "def make_policy(): return Policy()\n"
    )
    finding = await check(sandbox, code, endpoint("http://127.0.0.1:1"), some(pool, 1, 1), terms())
    assert isinstance(finding, Failed)
    assert "for its answers together" in finding.detail


@pytest.mark.asyncio(loop_scope="module")
async def test_code_that_is_slow_only_after_its_first_run_fails(
    pool: list[Probed], sandbox: Sandbox, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "CODE_SLACK_S", 0.5)
    code = repository(
        "import time\n"
        "class Policy:\n    resets = 0\n"
        "    def reset(self, task_config): self.resets += 1\n"
        "    def act(self, obs):\n        time.sleep(self.resets // 2)\n        return {'continuous': {}}\n"
        "def make_policy(): return Policy()\n"
    )
    finding = await check(sandbox, code, endpoint("http://127.0.0.1:1"), some(pool, 1, 1), terms())
    assert isinstance(finding, Failed)
    assert finding.reason is FailureReason.CODE_FAILED
    assert "for its answers together" in finding.detail


@pytest.mark.asyncio(loop_scope="module")
async def test_speed_is_not_what_is_checked(pool: list[Probed], sandbox: Sandbox, tmp_path: Path) -> None:
    async def slowly(_: web.Request) -> None:
        await asyncio.sleep(0.2)

    policy = write_perceptron(tmp_path / "policy", perceptron(0))
    finding = await checked(sandbox, policy, policy, some(pool, 1, 1), terms(act_deadline_ms=100), slowly)
    assert isinstance(finding, Passed), finding


@pytest.mark.asyncio(loop_scope="module")
async def test_an_endpoint_that_delays_a_check_away_fails(
    pool: list[Probed], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(_: web.Request) -> None:
        await asyncio.sleep(0.2)

    monkeypatch.setattr(serving_side, "endpoint_allowance_s", lambda acts, _: 0.05 * acts)
    policy = write_perceptron(tmp_path / "policy", perceptron(0))
    finding = await checked(sandbox, policy, policy, some(pool, 1, 2), before=slowly)
    assert isinstance(finding, Failed), finding
    assert finding.reason is FailureReason.ENDPOINT_FAILED
    assert "for its actions together" in finding.detail


@pytest.mark.asyncio(loop_scope="module")
async def test_an_endpoint_that_fails_once_is_asked_again_from_the_reset(
    pool: list[Probed], sandbox: Sandbox, tmp_path: Path
) -> None:
    failures = iter([web.Response(status=503)])

    async def once(_: web.Request) -> web.StreamResponse | None:
        return next(failures, None)

    policy = write_perceptron(tmp_path / "policy", perceptron(0, memory=0.5))
    probes = some(pool, 1, 2)
    async with serving(policy, once) as server:
        finding = await check(sandbox, policy, endpoint(server.url, retry_s=60.0), probes, terms())
    assert isinstance(finding, Passed), finding
    assert len(server.resets) == len(probes) + 1


@pytest.mark.asyncio(loop_scope="module")
async def test_an_endpoint_that_fails_once_for_each_sample_gains_no_time(
    pool: list[Probed], sandbox: Sandbox, tmp_path: Path
) -> None:
    """Else it could draw the check out until nobody waits for it any more."""

    async def at_first(_: web.Request) -> web.StreamResponse | None:
        return web.Response(status=503) if len(server.resets) % 2 else None

    policy = write_perceptron(tmp_path / "policy", perceptron(0))
    async with serving(policy, at_first) as server:
        finding = await check(sandbox, policy, endpoint(server.url, retry_s=1.5), some(pool, 1, 3), terms())
    assert isinstance(finding, Failed), finding
    assert finding.reason is FailureReason.ENDPOINT_FAILED
    assert len(server.resets) == 3


@pytest.mark.asyncio(loop_scope="module")
async def test_an_endpoint_that_is_away_fails_without_its_name(
    pool: list[Probed], sandbox: Sandbox, tmp_path: Path
) -> None:
    policy = write_perceptron(tmp_path / "policy", perceptron(0))
    finding = await check(sandbox, policy, endpoint("http://127.0.0.1:1"), some(pool, 1), terms())
    assert isinstance(finding, Failed)
    assert finding.reason is FailureReason.ENDPOINT_FAILED
    assert "unreachable: no connection" in finding.detail
    assert "127.0.0.1" not in finding.detail


@contextlib.contextmanager
def unheard() -> Iterator[str]:
    """An address where whoever calls hears nothing at all."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as callers:
        for _ in range(3):  # whose calls fill its queue
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


@pytest.mark.parametrize("somebody_answers", [False, True])
@pytest.mark.asyncio(loop_scope="module")
async def test_an_endpoint_that_nobody_hears_of_fails_only_where_others_can_be_reached(
    somebody_answers: bool, pool: list[Probed], sandbox: Sandbox, tmp_path: Path
) -> None:
    policy, network = write_perceptron(tmp_path / "policy", perceptron(0)), OwnNetwork(allow_private=True)
    with unheard() as url, socket.create_server(("127.0.1.1", 0)) as witness:
        witnesses = [f"http://127.0.1.1:{witness.getsockname()[1]}"] if somebody_answers else []
        silent = Endpoint(url, own_network=network, allow_private=True, witnesses=witnesses, retry_s=0.0)
        finding = await check(sandbox, policy, silent, some(pool, 1), terms(act_deadline_ms=100, reset_ms=5_000))
    assert isinstance(finding, Failed | Inconclusive), finding
    expected = FailureReason.ENDPOINT_FAILED if somebody_answers else InconclusiveReason.OUR_NETWORK
    assert finding.reason is expected
