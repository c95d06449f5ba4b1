"""Only the owner of a hotkey, only this request, only now, and only once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from multidict import CIMultiDict

from api.replays import settings as replays_settings
from api.settings import ApiSettings
from events.connection import Connection, Refused
from events.ids import Hotkey
from events.permissions import REQUESTS
from tests.chain.subnets import hotkey, keypair
from tests.controls.keys import STRANGER
from tests.fixtures.http import Answer, Api, patient_settings
from tests.fixtures.link import Link
from tests.fixtures.nats import NatsProcess
from tests.fixtures.owned import MINER, NOW_NS, PATH, api_at_noon, ask, signed

S = 10**9


@pytest.fixture
async def settings(
    evaluated_miner: Hotkey, database_url: str, nats_server: NatsProcess, nats: Connection
) -> ApiSettings:
    assert evaluated_miner
    await forget(nats)
    return patient_settings(database_url, nats_server.url)


async def forget(nats: Connection) -> None:
    """What an earlier test signed has the same nonces."""
    try:
        await nats.api(f"STREAM.DELETE.{REQUESTS}")
    except Refused:
        return


@pytest.fixture
async def api(settings: ApiSettings) -> AsyncIterator[Api]:
    async with api_at_noon(settings) as api:
        yield api


def reason(answer: Answer) -> tuple[int, str | None]:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.body
    assert answer.json["status"] == answer.status
    assert answer.json["detail"]
    return answer.status, answer.json.get("reason")


def kind(answer: Answer) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.body
    return answer.status, answer.json["type"].removeprefix("urn:kinitro:problem:")


async def test_what_the_sdk_signs_is_accepted(api: Api) -> None:
    assert (await ask(api, signed())).status == 200


async def test_a_query_and_a_body_are_signed_with_it(api: Api) -> None:
    path = f"{PATH}?cycle=1"
    assert (await ask(api, signed(path=path, body=b"{}"), path=path, body=b"{}")).status == 200


async def test_another_key_cannot_sign_for_it(api: Api) -> None:
    headers = {**signed(by="hotkey1"), "X-Bittensor-Hotkey": MINER}
    assert reason(await ask(api, headers)) == (401, "bad_signature")


async def test_another_miner_is_not_the_owner(api: Api) -> None:
    assert kind(await ask(api, signed(by="hotkey1"))) == (403, "not-the-owner")


@pytest.mark.parametrize(
    ("headers", "request_"),
    [
        (signed(path=f"/v1/miners/{hotkey(1)}/diagnosis"), {}),
        (signed(path=f"{PATH}?cycle=2"), {"path": f"{PATH}?cycle=1"}),
        (signed(), {"path": f"{PATH}?cycle=1"}),
        (signed(path=f"{PATH}?cycle=1"), {}),
        (signed(), {"body": b"x"}),
        (signed(body=b"x"), {}),
        (signed(body=b"x"), {"body": b"y"}),
        (signed(method="POST"), {}),
    ],
)
async def test_what_was_altered_is_not_what_was_signed(
    api: Api, headers: dict[str, str], request_: dict[str, str]
) -> None:
    assert reason(await ask(api, headers, **request_)) == (401, "bad_signature")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("behind_ns", "accepted"),
    [(10 * S, True), (10 * S + 1000, False), (-2 * S, True), (-2 * S - 1000, False), (3600 * S, False)],
)
async def test_a_request_is_good_for_seconds(api: Api, behind_ns: int, accepted: bool) -> None:
    answer = await ask(api, signed(nonce_ns=NOW_NS - behind_ns))
    assert answer.status == 200 if accepted else reason(answer) == (401, "stale")


async def test_a_request_for_another_backend_is_refused(api: Api) -> None:
    assert reason(await ask(api, signed(receiver=STRANGER.address))) == (401, "other_receiver")


async def test_a_hotkey_that_is_no_miner_is_not_remembered(api: Api, nats: Connection) -> None:
    stranger = keypair("nobody").ss58_address
    path = f"/v1/miners/{stranger}/diagnosis"
    assert kind(await ask(api, signed(by="nobody", path=path), path=path)) == (404, "unknown-miner")
    with pytest.raises(Refused):
        await nats.api(f"STREAM.INFO.{REQUESTS}")


async def test_a_request_is_accepted_once(api: Api) -> None:
    assert (await ask(api, signed())).status == 200
    assert reason(await ask(api, signed())) == (401, "replayed")
    assert (await ask(api, signed(nonce_ns=NOW_NS + 1))).status == 200


async def test_what_was_accepted_before_a_restart_is_not_after_it(settings: ApiSettings) -> None:
    headers = signed()
    async with api_at_noon(settings) as before:
        assert (await ask(before, headers)).status == 200
    async with api_at_noon(settings) as after:
        assert reason(await ask(after, headers)) == (401, "replayed")


async def test_of_a_thousand_at_once_at_two_copies_one_is_accepted(settings: ApiSettings) -> None:
    headers = signed()
    async with api_at_noon(settings) as one, api_at_noon(settings) as other:
        answers = await asyncio.gather(*(ask((one, other)[number % 2], headers) for number in range(1_000)))
    statuses = Counter(each.status for each in answers)
    assert statuses[200] == 1
    assert statuses[401] + statuses[503] == 999, statuses  # 503: NATS was too slow for this one
    assert statuses[401] > 900
    assert {reason(each) for each in answers if each.status == 401} == {(401, "replayed")}


async def test_while_the_log_is_away_nobody_is_accepted(settings: ApiSettings) -> None:
    async with Link(settings.nats_url) as link:
        impatient = replace(settings, nats_url=link.url, log_timeout_s=2.0)
        async with api_at_noon(impatient) as api:
            link.answers_pass = False
            answer = await ask(api, signed())
            assert kind(answer) == (503, "log-unavailable")
            assert answer.headers["Retry-After"]


async def test_where_requests_cannot_be_remembered_nobody_is_accepted(api: Api, nats: Connection) -> None:
    await nats.api(f"STREAM.CREATE.{REQUESTS}", {**replays_settings(1), "max_bytes": 10})
    answer = await ask(api, signed())
    assert kind(answer) == (503, "log-unavailable")
    assert answer.headers["Retry-After"]


async def test_a_store_that_was_deleted_is_made_again(api: Api, nats: Connection) -> None:
    assert (await ask(api, signed())).status == 200
    await forget(nats)
    assert kind(await ask(api, signed(nonce_ns=NOW_NS + 1))) == (503, "log-unavailable")
    assert (await ask(api, signed(nonce_ns=NOW_NS + 2))).status == 200


async def test_the_store_is_bounded_in_time_and_size(api: Api, nats: Connection) -> None:
    await ask(api, signed())
    config = (await nats.api(f"STREAM.INFO.{REQUESTS}"))["config"]
    assert (config["max_age"], config["max_bytes"], config["discard"]) == (120 * S, 16 * 2**20, "new")


async def test_a_body_without_end_is_not_read(api: Api) -> None:
    assert kind(await ask(api, signed(), body=b"x" * 70_000)) == (413, "body-too-large")


VERSION, HOTKEY, NONCE, SIGNATURE, RECEIVER, CRYPTO = (
    f"X-Bittensor-{name}" for name in ("Version", "Hotkey", "Nonce", "Signature", "Receiver", "Crypto")
)
GOOD = signed()
MALFORMED: list[list[tuple[str, str | None]]] = [
    [(VERSION, None)],
    [(HOTKEY, None)],
    [(NONCE, None)],
    [(SIGNATURE, None)],
    [(RECEIVER, None)],
    [(VERSION, "2")],
    [(VERSION, "")],
    [(VERSION, "01")],
    [(HOTKEY, "")],
    [(HOTKEY, "not an address")],
    [(HOTKEY, "5" * 48)],
    [(HOTKEY, MINER[:-1])],
    [(HOTKEY, "5" * 5000)],
    [(HOTKEY, "\u00e9")],
    [(NONCE, "")],
    [(NONCE, "soon")],
    [(NONCE, f"0{NOW_NS}")],
    [(NONCE, f"+{NOW_NS}")],
    [(NONCE, f"-{NOW_NS}")],
    [(NONCE, f"{NOW_NS:_}")],
    [(NONCE, f"{NOW_NS}.0")],
    [(NONCE, hex(NOW_NS))],
    [(NONCE, "9" * 5000)],
    [(NONCE, "\u00b2")],
    [(SIGNATURE, "")],
    [(SIGNATURE, "0x")],
    [(SIGNATURE, "0x" + "g" * 128)],
    [(SIGNATURE, GOOD[SIGNATURE][2:])],
    [(SIGNATURE, GOOD[SIGNATURE].upper())],
    [(SIGNATURE, GOOD[SIGNATURE] + "00")],
    [(SIGNATURE, GOOD[SIGNATURE][:-2])],
    [(RECEIVER, "")],
    [(RECEIVER, "a b")],
    [(CRYPTO, "ed25519")],
    [(CRYPTO, "")],
    [(NONCE, str(NOW_NS)), (NONCE, str(NOW_NS))],
    [(SIGNATURE, GOOD[SIGNATURE]), (SIGNATURE, GOOD[SIGNATURE])],
]
"""What is changed in good headers: another value, none, or two."""


async def test_headers_of_any_kind_are_a_problem_and_no_failure(api: Api) -> None:
    assert len(MALFORMED) >= 30
    for changes in MALFORMED:
        headers = CIMultiDict(GOOD)
        for name, _ in changes:
            headers.popall(name, None)
        for name, value in changes:
            if value is not None:
                headers.add(name, value)
        assert reason(await ask(api, headers)) == (401, "malformed"), changes
    assert (await ask(api, GOOD)).status == 200


async def test_without_any_headers_it_says_how_to_sign(api: Api) -> None:
    answer = await ask(api, {})
    assert reason(answer) == (401, "malformed")
    assert "bittensor.http_auth.sign" in answer.json["detail"]
    assert answer.headers["WWW-Authenticate"] == "Bittensor"


async def test_a_caller_that_hangs_up_in_its_body_harms_nobody(api: Api) -> None:
    host, port = api.base_url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = [f"GET {PATH} HTTP/1.1", "Host: x", "Content-Length: 10", *(f"{k}: {v}" for k, v in GOOD.items())]
    writer.write("\r\n".join([*head, "", "abc"]).encode())
    await writer.drain()
    writer.close()
    assert (await ask(api, signed(nonce_ns=NOW_NS + 1))).status == 200
