"""The metrics of all workers of a machine, as the executor serves them on one port.

Each worker serves its own on a Unix socket, and the executor asks them all when it is asked. So one address per
machine is enough, however many cores it has; a worker that is gone or stuck shows as `kinitro_worker_up 0` and
withholds no other's numbers; and a worker that starts again begins at 0 under its own name, which Prometheus takes
for what it is. (Shared files, the library's own way, keep the numbers of every process that ever died, and make each
observation a write to one of them.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import aiohttp
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

ANSWER_S = 2.0
"""A worker that takes longer counts as down."""
ANSWER_BYTES_MAX = 4_000_000


class WorkersMetrics(Collector):
    """What the workers said when they were asked last, each sample with the label `worker`."""

    def __init__(
        self,
        sockets: Mapping[str, Path],
        registry: CollectorRegistry,
        engine_answers: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """`sockets`: by the worker's name; `engine_answers`: asks the engine that runs them, if one does."""
        self._sockets = dict(sockets)
        self._engine_answers = engine_answers
        self._engine_up: bool | None = None
        self._said: dict[str, str | None] = {}
        registry.register(self)

    async def refresh(self) -> None:
        """Asks all of them at once."""
        answers = await asyncio.gather(*map(_ask, self._sockets.values()))
        self._said = dict(zip(self._sockets, answers, strict=True))
        if self._engine_answers is not None:
            self._engine_up = await self._engine_answers()

    def collect(self) -> Iterator[Metric]:
        if self._engine_up is not None:
            about = "Whether the Docker engine answers this executor; without it no container is started again."
            yield GaugeMetricFamily("kinitro_engine_up", about, value=self._engine_up)
        up = GaugeMetricFamily("kinitro_worker_up", "Whether this worker answers the executor.", labels=["worker"])
        families: dict[str, Metric] = {}
        for worker, said in self._said.items():
            up.add_metric([worker], said is not None)
            for family in text_string_to_metric_families(said or ""):
                whole = families.setdefault(family.name, _empty(family))
                whole.samples += [_labelled(sample, worker) for sample in family.samples]
        yield up
        yield from families.values()


def _empty(family: Metric) -> Metric:
    # The process metrics of the executor itself bear these names: workers' have one of their own.
    name = family.name.replace("process_", "kinitro_worker_process_", 1)
    return Metric(name, family.documentation, family.type)


def _labelled(sample: Sample, worker: str) -> Sample:
    name = sample.name.replace("process_", "kinitro_worker_process_", 1)
    return Sample(name, {"worker": worker, **sample.labels}, sample.value)


async def _ask(path: Path) -> str | None:
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path)), timeout=timeout) as session,
            session.get("http://worker/metrics") as response,
        ):
            body = await response.content.read(ANSWER_BYTES_MAX)
            return body.decode() if response.status == 200 else None
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None
