"""Every error is a problem with a stable type, and what does not exist is a 404."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.controls import facts
from tests.fixtures.http import Api, Written
from tests.fixtures.projecting import write


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/weights/latest", "no-weights"),
        ("/v1/weights/50", "no-weights"),
        ("/v1/scores/latest", "no-scores"),
        ("/v1/scores/1", "unknown-cycle"),
        ("/v1/cycles/1", "unknown-cycle"),
        ("/v1/cycles/1/episodes", "unknown-cycle"),
        ("/v1/cycles/1/verifications", "unknown-cycle"),
        ("/v1/cycles/1/verifications/0", "unknown-cycle"),
        ("/v1/cycles/1/copies", "unknown-cycle"),
        ("/v1/miners/hotkey-0/verifications", "unknown-miner"),
        ("/v1/episodes/1.0.metaworld.reach-v3.0", "unknown-episode"),
    ],
)
async def test_before_anything_happened(api: Api, path: str, kind: str) -> None:
    assert await api.problem(path) == (404, kind)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/scores/1", "no-scores"),
        ("/v1/cycles/2", "unknown-cycle"),
        ("/v1/cycles/1/episodes?uid=9", "unknown-miner"),
        ("/v1/cycles/1/episodes?env=metaworld/nothing", "unknown-environment"),
        ("/v1/cycles/1/verifications/9", "unknown-miner"),
        ("/v1/cycles/1/verifications/0", "no-verification"),
        ("/v1/episodes/1.9.metaworld.reach-v3.0", "unknown-episode"),
        ("/v1/episodes/1.0.metaworld.nothing.0", "unknown-episode"),
        ("/v1/episodes/1.0.metaworld.reach-v3.2", "unknown-episode"),
        ("/v1/episodes/01.0.metaworld.reach-v3.0", "unknown-episode"),
        ("/v1/episodes/nonsense", "unknown-episode"),
        (f"/v1/episodes/{10**30}.0.metaworld.reach-v3.0", "unknown-episode"),
        ("/v1/episodes/1.0.metaworld.reach-v3.99999999999", "unknown-episode"),
        ("/v1/nothing", "unknown-path"),
        ("/nothing", "unknown-path"),
        ("/assets/nothing.js", "unknown-path"),
    ],
)
async def test_what_a_plan_does_not_hold_is_unknown(api: Api, read_side: Written, path: str, kind: str) -> None:
    await write(read_side.log, facts.planned())
    await read_side.project()
    assert await api.problem(path) == (404, kind)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/cycles/abc",
        "/v1/cycles/0",
        f"/v1/cycles/{2**63}",
        "/v1/cycles?limit=0",
        "/v1/cycles?limit=501",
        "/v1/cycles?cursor=x",
        "/v1/weights/-1",
        f"/v1/weights/{2**63}",
        "/v1/scores/x",
        "/v1/cycles/1/episodes?limit=501",
        "/v1/cycles/0/verifications",
        "/v1/cycles/1/verifications/65536",
        f"/v1/cycles/{2**63}/copies",
        "/v1/miners/hotkey-0/verifications?limit=0",
        "/v1/miners/hotkey-0/verifications?cursor=x",
        "/v1/miners/a.b/verifications",
        "/v1/cycles/1/episodes?uid=70000",
        "/v1/cycles/1/episodes?cursor=nonsense",
        "/v1/cycles/1/episodes?cursor=2.0.metaworld.reach-v3.0",
        f"/v1/cycles/1/episodes?env={quote(chr(0))}",
    ],
)
async def test_a_parameter_out_of_its_bounds_is_named(api: Api, read_side: Written, path: str) -> None:
    await write(read_side.log, facts.planned())
    await read_side.project()
    assert await api.problem(path) == (422, "invalid-request")


async def test_another_method_is_refused(api: Api) -> None:
    async with api.session.post(f"{api.base_url}/v1/status") as response:
        assert response.status == 405
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["allow"] == "GET, HEAD, OPTIONS"
        assert (await response.json(content_type=None))["type"] == "urn:kinitro:problem:method-not-allowed"
