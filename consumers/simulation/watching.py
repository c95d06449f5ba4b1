"""Who looks on while a worker runs episodes: live readers, metrics, traces. The last two may be absent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from faststream.nats import NatsMessage

from consumers.intake import Handle
from consumers.simulation.live import LiveEpisode, LiveEpisodes
from consumers.simulation.metrics import WorkerMetrics
from consumers.simulation.traces import EpisodeTraces, Reset, arriving
from consumers.work import Answer
from events.connection import Connection
from events.live import Detail
from events.log import EventLog
from events.metrics import Appended, ObservedLog, append_latency, new_registry
from events.metrics_server import serving_metrics_locally
from events.tasks import EpisodeTask
from sim.environment import StepResult
from sim.episode import EpisodeForfeit, EpisodeResult, Watch
from sim.policy import Decision

Run = Callable[[EpisodeTask], Awaitable[EpisodeResult | EpisodeForfeit]]


class EpisodeWatch:
    """Hands what happens in one attempt to whom it concerns."""

    __slots__ = ("_live", "_observe_act", "_reset")

    def __init__(self, live: LiveEpisode, observe_act: Callable[[float], None] | None, reset: Reset | None) -> None:
        self._live, self._observe_act, self._reset = live, observe_act, reset

    def was_reset(self) -> None:
        if self._reset is not None:
            self._reset()

    def stepped(self, decision: Decision, result: StepResult) -> None:
        if self._observe_act is not None:
            self._observe_act(decision.latency_ms / 1000)
        self._live.stepped(result)


class Watching:
    """What a worker's parts are given, so that each of them can be watched."""

    def __init__(
        self,
        live: LiveEpisodes,
        *,
        metrics: WorkerMetrics | None,
        traces: EpisodeTraces | None,
        latency: Appended | None,
    ) -> None:
        self._live, self._metrics, self._traces = live, metrics, traces
        self._observe_act = None if metrics is None else metrics.act_latency_s.observe
        told = [latency, None if metrics is None else metrics.appended, None if traces is None else traces.appended]
        self._appended: Sequence[Appended] = [each for each in told if each is not None]

    def watch(self, task: EpisodeTask) -> Watch:
        """Who looks on during one attempt."""
        reset = None if self._traces is None else self._traces.reset(task.key)
        return EpisodeWatch(self._live.of(task), self._observe_act, reset)

    def log(self, log: EventLog) -> EventLog:
        return ObservedLog(log, self._appended) if self._appended else log

    def run(self, run: Run) -> Run:
        """The same, watched from outside."""
        metrics, traces = self._metrics, self._traces

        async def watched(task: EpisodeTask) -> EpisodeResult | EpisodeForfeit:
            if metrics is not None:
                metrics.running.inc()
            if traces is not None:
                traces.began(task)
            try:
                return await run(task)
            finally:
                if metrics is not None:
                    metrics.running.dec()
                if traces is not None:
                    traces.ended(task.key)

        return run if metrics is None and traces is None else watched

    def handle(self, handle: Handle) -> Handle:
        """The same; traces learn when a task came to the queue."""

        async def watched(message: NatsMessage) -> Answer:
            with arriving(message.raw_message.metadata.timestamp):
                return await handle(message)

        return handle if self._traces is None else watched


@asynccontextmanager
async def watching(
    connection: Connection, worker: str, *, detail: Detail, metrics_socket: Path | None, otlp_endpoint: str | None
) -> AsyncIterator[Watching]:
    """Listens to who wants to look on, for as long as this is open."""
    async with AsyncExitStack() as stack:
        live = LiveEpisodes(worker, detail)
        await stack.enter_async_context(live.listening(connection))
        metrics, latency, traces = None, None, None
        if metrics_socket is not None:
            registry = new_registry()
            metrics, latency = WorkerMetrics(registry), append_latency(registry)
            await stack.enter_async_context(serving_metrics_locally(registry, metrics_socket))
        if otlp_endpoint is not None:
            from events.otlp import telling  # it is large, and most have no use for it

            traces = EpisodeTraces(await stack.enter_async_context(telling(otlp_endpoint, "worker")))
        yield Watching(live, metrics=metrics, traces=traces, latency=latency)
