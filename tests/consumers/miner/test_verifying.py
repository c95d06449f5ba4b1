"""What is said of policy servers, well behaved or not, over real HTTP."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from consumers.miner.checks import Check, Report, Timing, Verdict, timing_check
from consumers.miner.verifying import AT_ONCE, Trial, Verification
from events.ids import EnvId
from sim.encodings import Encoding
from sim.experts import PolicyKind
from sim.http.server import PolicyServer
from sim.policy import PolicyFailure
from sim.stage import SimulationThread
from tests.fixtures.policies import Act, expert, lazy, served

AMPLE_MS = 20_000.0
ENV = EnvId("control/cart-pole-balance-v1")


async def report_on(
    url: str,
    *,
    env: EnvId = ENV,
    episodes: int = 1,
    profile: str = "state/1",
    act_deadline_ms: float = AMPLE_MS,
    allow_private: bool = True,
) -> Report:
    trial = Trial(
        endpoint=url,
        env=env,
        episodes=episodes,
        profile=profile,
        steps_max=30,
        act_deadline_ms=act_deadline_ms,
        reset_deadline_ms=AMPLE_MS,
        allow_private=allow_private,
    )
    async with SimulationThread() as stage:
        return await Verification(trial, stage).report()


async def of_acts(act: Act, **how: float) -> Report:
    async with served(act) as policy:
        return await report_on(policy.url, **how)  # type: ignore[arg-type]


def check(report: Report, name: str) -> Check:
    return next(each for each in report.checks if each.name == name)


async def test_a_good_server_passes_every_check() -> None:
    async with PolicyServer(PolicyKind.EXPERT) as server:
        report = await report_on(server.url, episodes=2)

    assert report.ok
    assert {each.verdict for each in report.checks} == {Verdict.OK}
    assert report.reset is not None
    assert report.reset.count == 2
    assert report.act is not None
    assert report.act.count > 2


def says(body: str, status: int = 200) -> Act:
    async def act(_: bytes) -> web.Response:
        return web.Response(text=body, status=status, content_type="application/json")

    return act


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (says('{"action": {"continuous": {"cart_force": [1, 2]}}}'), PolicyFailure.WRONG_SHAPE),
        (says('{"action": {"continuous": {"cart_force": [NaN]}}}'), PolicyFailure.NON_FINITE),
        (says("hello"), PolicyFailure.MALFORMED),
        (says("out of memory", 500), PolicyFailure.HTTP_ERROR),
        (says("x" * 100_000), PolicyFailure.BODY_TOO_LARGE),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
async def test_a_bad_answer_fails_with_the_code_of_an_evaluation(act: Act, code: PolicyFailure) -> None:
    report = await of_acts(act)

    assert not report.ok
    assert check(report, "act").code is code
    assert check(report, "act").remedy
    assert report.act is None


async def test_a_late_answer_misses_the_deadline() -> None:
    never = asyncio.Event()

    async def act(_: bytes) -> web.Response:
        await never.wait()
        return web.Response()

    report = await of_acts(act, act_deadline_ms=50)

    assert check(report, "act").code is PolicyFailure.DEADLINE_MISSED


async def test_a_private_address_is_refused_unless_it_is_allowed() -> None:
    async with served() as policy:
        report = await report_on(policy.url, allow_private=False)

    assert [each.code for each in report.checks] == [PolicyFailure.ADDRESS_REFUSED]


async def test_nobody_there_is_unreachable() -> None:
    async with served() as policy:
        url = policy.url

    assert check(await report_on(url), "reset").code is PolicyFailure.UNREACHABLE


async def test_a_failure_in_the_middle_of_an_episode_is_a_forfeit_at_its_step() -> None:
    acts = 0
    alone = 1 + 2 + 10 * AT_ONCE

    async def act(body: bytes) -> web.StreamResponse:
        nonlocal acts
        acts += 1
        return await (expert(body) if acts <= alone + 5 else says("{}")(body))

    report = await of_acts(act)

    assert not report.ok
    assert check(report, "episode 1").code is PolicyFailure.MALFORMED
    assert "at step 5" in check(report, "episode 1").detail


async def test_answers_that_differ_are_a_warning() -> None:
    acts = 0

    async def act(_: bytes) -> web.Response:
        nonlocal acts
        acts += 1
        return web.json_response({"action": {"continuous": {"cart_force": [1 / acts]}}})

    report = await of_acts(act)

    assert report.ok
    assert check(report, "repeatable").verdict is Verdict.WARNING


async def test_connections_that_are_not_kept_are_a_warning() -> None:
    async def act(body: bytes) -> web.StreamResponse:
        answer = await expert(body)
        answer.force_close()
        return answer

    report = await of_acts(act)

    assert report.ok
    assert check(report, "keep-alive").verdict is Verdict.WARNING


async def test_channels_that_are_missing_are_a_warning() -> None:
    report = await of_acts(lazy)

    assert report.ok
    assert "zeros are taken for cart_force" in check(report, "act").detail


async def test_a_server_without_health_is_a_warning() -> None:
    report = await of_acts(expert)

    assert report.ok
    assert check(report, "health").verdict is Verdict.WARNING
    assert "GET /health: status 404" in check(report, "health").detail


@pytest.mark.camera
async def test_both_encodings_are_tried_where_msgpack_is_asked_for() -> None:
    async with PolicyServer(PolicyKind.RANDOM) as server:
        report = await report_on(server.url, env=EnvId("metaworld/reach-v3"), profile="rgb84/1")

    assert report.ok
    assert [check(report, encoding).verdict for encoding in Encoding] == [Verdict.OK, Verdict.OK]
    assert "corner 84x84x3 uint8" in check(report, "act").detail


@pytest.mark.camera
async def test_json_alone_is_enough() -> None:
    async with served(lazy) as policy:
        report = await report_on(policy.url, env=EnvId("metaworld/reach-v3"), profile="rgb84/1")

    assert report.ok
    assert {each.name for each in report.checks} & set(Encoding) == {Encoding.JSON}


def test_percentiles_are_by_nearest_rank() -> None:
    timing = Timing.of([float(ms) for ms in range(1, 201)], 250)
    assert timing == Timing(200, 1.0, 100.0, 198.0, 200.0, 250)
    assert Timing.of([], 250) is None


@pytest.mark.parametrize(("p99_ms", "verdict"), [(80.0, Verdict.OK), (81.0, Verdict.WARNING)])
def test_who_is_nearly_late_is_warned(p99_ms: float, verdict: Verdict) -> None:
    assert timing_check("act", Timing(1, p99_ms, p99_ms, p99_ms, p99_ms, 100)).verdict is verdict
