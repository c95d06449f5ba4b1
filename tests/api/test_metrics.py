"""`/metrics` of the API: facts, whoever asks and after whichever restart."""

from __future__ import annotations

from datetime import datetime

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from events import frames
from events.connection import Connection
from events.ids import CycleId
from events.jetstream import UNAPPENDED
from tests.controls import facts
from tests.eventually import eventually
from tests.fixtures.http import Api, Written, patient_settings, serving
from tests.fixtures.nats import NatsProcess
from tests.fixtures.projecting import write

MINERS = (facts.discovered(0), facts.discovered(1))

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scraped(api: Api) -> Samples:
    answer = await api.get("/metrics")
    assert answer.status == 200
    return samples(answer.body.decode())


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


async def test_it_tells_what_the_log_says(api: Api, read_side: Written) -> None:
    await write(read_side.log, *MINERS, *facts.whole_cycle(), facts.planned(2))
    await read_side.project()
    found = await scraped(api)
    assert value(found, "kinitro_eval_cycles_total", end="sealed") == 1
    assert value(found, "kinitro_eval_cycles_total", end="abandoned") == 0
    assert value(found, "kinitro_eval_cycle_running") == 2
    status = (await api.get("/v1/cycles/2")).json
    planned_at = datetime.fromisoformat(status["planned_at"]).timestamp()
    assert value(found, "kinitro_eval_last_plan_timestamp_seconds") == planned_at
    assert value(found, "kinitro_eval_interval_seconds") == 3600
    assert value(found, "kinitro_eval_duration_seconds_count", end="sealed") == 1
    assert value(found, "kinitro_eval_duration_seconds_bucket", end="sealed", le="+Inf") == 1
    outcomes = ("completed", "forfeited", "abandoned")
    counted = [value(found, "kinitro_eval_episodes_total", outcome=outcome) for outcome in outcomes]
    assert sum(counted) == (await api.get(f"/v1/cycles/{CycleId(1)}")).json["episodes_planned"]
    assert value(found, "kinitro_miners_active") == len(MINERS)
    assert value(found, "kinitro_projection_lag_events", projection="cycles") == 0
    assert value(found, "kinitro_up", part="database") == value(found, "kinitro_up", part="log") == 1
    assert value(found, "kinitro_queue_depth") == value(found, "kinitro_dead_letters") == 0


async def test_it_tells_the_same_after_a_restart(
    database_url: str, nats_server: NatsProcess, read_side: Written
) -> None:
    await write(read_side.log, *MINERS, *facts.whole_cycle())
    await read_side.project()
    by_the_log: list[Samples] = []
    for _ in range(2):
        async with serving(patient_settings(database_url, nats_server.url)) as api:
            await eventually(api.sees_the_log)
            found = await scraped(api)
            by_the_log.append({it: found[it] for it in found if it[0].startswith("kinitro_")})
    assert by_the_log[0] == by_the_log[1]
    assert len(by_the_log[0]) > 20


async def test_scores_are_those_of_registered_miners(api: Api, read_side: Written) -> None:
    await write(read_side.log, *MINERS, *facts.whole_cycle())
    await read_side.project()
    before = {labels for name, labels in await scraped(api) if name == "kinitro_miner_scores"}
    assert {dict(labels)["uid"] for labels in before} >= {"0"}
    await write(read_side.log, facts.departed(0))
    await read_side.project()

    async def gone() -> bool:
        found = {labels for name, labels in await scraped(api) if name == "kinitro_miner_scores"}
        return found == {labels for labels in before if dict(labels)["uid"] != "0"}

    await eventually(gone)


async def test_openmetrics_is_spoken_where_it_is_asked_for(api: Api) -> None:
    answer = await api.get("/metrics", Accept="application/openmetrics-text;version=1.0.0")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert "kinitro_up" in {family.name for family in openmetrics(answer.body.decode())}  # type: ignore[no-untyped-call]


async def test_a_log_that_takes_no_appends_is_not_up(api: Api, nats: Connection) -> None:
    await nats.send(frames.publish(UNAPPENDED, b""))

    async def down() -> bool:
        return value(await scraped(api), "kinitro_up", part="log") == 0

    await eventually(down)


async def test_without_its_parts_it_says_so(tmp_path_factory: object) -> None:
    nowhere = "postgresql://nobody@/nowhere?host=/nowhere"
    async with serving(patient_settings(nowhere, "nats://127.0.0.1:1")) as api:
        found = await scraped(api)
    assert value(found, "kinitro_up", part="database") == value(found, "kinitro_up", part="log") == 0
