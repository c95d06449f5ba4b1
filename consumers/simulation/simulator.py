"""From a task to a run of its episode: the policy's client, the environment, and a clock over both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from consumers.simulation.network import OwnNetwork
from consumers.simulation.outcomes import SETUP_ALLOWANCE_S, EpisodeOverdue, wall_clock_max_s
from consumers.simulation.thread import STUCK_S, is_stuck
from events.tasks import EpisodeTask
from sim.episode import EpisodeForfeit, EpisodeResult, EpisodeSpec, Watch, run_episode
from sim.http.policy import HttpPolicy
from sim.stage import SimulationThread

Watching = Callable[[EpisodeTask], Watch | None]


class Simulator:
    """Runs episodes on the simulation thread of this process."""

    def __init__(
        self,
        stage: SimulationThread,
        *,
        allow_private_endpoints: bool,
        setup_allowance_s: float = SETUP_ALLOWANCE_S,
        stuck_s: float = STUCK_S,
        watch: Watching | None = None,
    ) -> None:
        """`allow_private_endpoints`: whether policies may live at private and loopback addresses.

        `watch` gives who looks on while a task's episode runs.
        """
        self._watch = watch
        self._stage = stage
        self._allow_private_endpoints = allow_private_endpoints
        self._setup_allowance_s, self._stuck_s = setup_allowance_s, stuck_s
        self.own_network = OwnNetwork(allow_private=allow_private_endpoints)
        """Learns from every episode which policies can be reached."""
        self.stuck = asyncio.Event()
        """Set when the simulation thread no longer answers: only another process can go on."""

    async def run(self, task: EpisodeTask) -> EpisodeResult | EpisodeForfeit:
        """One attempt at the episode.

        Raises:
            SimError: the simulation failed, or cannot run this episode at all.
            EpisodeOverdue: it took longer than everything it consists of may take.
        """
        limit_s = wall_clock_max_s(task.terms, setup_allowance_s=self._setup_allowance_s)
        try:
            async with asyncio.timeout(limit_s) as clock:
                return await self._run(task)
        except TimeoutError as error:
            if not clock.expired():
                raise
            if await is_stuck(self._stage, self._stuck_s):
                self.stuck.set()
            raise EpisodeOverdue(
                f"the episode did not end within {limit_s:.0f} s, which is more than the policy's deadlines allow it:"
                " this machine is overloaded, or the simulation hangs"
            ) from error

    async def _run(self, task: EpisodeTask) -> EpisodeResult | EpisodeForfeit:
        policy = HttpPolicy(
            task.endpoint,
            allow_private_addresses=self._allow_private_endpoints,
            on_connected=partial(self.own_network.answered, task.endpoint),
        )
        async with policy:
            watch = None if self._watch is None else self._watch(task)
            return await run_episode(spec_of(task), policy, self._stage, watch)


def spec_of(task: EpisodeTask) -> EpisodeSpec:
    """What the simulation needs to know of a task."""
    return EpisodeSpec(
        env=task.env,
        seed=task.seed,
        index=task.index,
        profile=task.terms.observation_profile,
        max_steps=task.terms.steps_max,
        variation=task.terms.variation,
        act_deadline_ms=task.terms.act_deadline_ms,
        reset_deadline_ms=task.terms.reset_deadline_ms,
    )
