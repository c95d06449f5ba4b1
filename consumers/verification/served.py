"""What the endpoint does, asked as in an evaluation: the same client, and for each episode a connection of its own.

EndpointFailed    it gave no valid action, though we could reach others
OurNetwork        it gave none, and our own network may be why
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from functools import partial

from consumers.simulation.blame import TryAgain, verdict
from consumers.simulation.network import OwnNetwork
from consumers.verification.limits import ENDPOINT_RETRY_S, endpoint_act_ms, endpoint_allowance_s, endpoint_reset_ms
from consumers.verification.measure import Actions
from consumers.verification.probes import Probed, acts, flattened
from consumers.verification.terms import CheckTerms
from sim.episode import EpisodeForfeit
from sim.http.policy import HttpPolicy
from sim.policy import PolicyFailed

PAUSE_S, PAUSE_MAX_S = 1.0, 15.0


class EndpointFailed(Exception):
    """The endpoint's own part."""


class OurNetwork(Exception):
    """It may be ours."""


class Endpoint:
    """A miner's policy server."""

    def __init__(
        self,
        url: str,
        *,
        own_network: OwnNetwork,
        allow_private: bool,
        witnesses: Sequence[str] = (),
        retry_s: float = ENDPOINT_RETRY_S,
    ) -> None:
        """`witnesses`: other endpoints, which may show that our network works.

        `retry_s`: how long it is asked again after failures, of a whole check, each time over a new connection.
        """
        self.url = url
        self._own_network = own_network
        self._witnesses = tuple(witnesses)
        self._allow_private = allow_private
        self._retry_s = retry_s
        self._lost_s = 0.0
        """By attempts that failed, and the pauses after them: who fails once for each probe gains no time."""

    def policy(self) -> HttpPolicy:
        """A new connection to it."""
        return HttpPolicy(
            self.url,
            allow_private_addresses=self._allow_private,
            on_connected=partial(self._own_network.answered, self.url),
        )

    async def runs(self, probes: Sequence[Probed], terms: CheckTerms, repeats: int) -> list[list[Actions]]:
        """By repeat: the action at the end of each probe, each from a reset on.

        Raises:
            EndpointFailed, OurNetwork
            SimulationFailed: this machine has no socket left.
        """
        budget = _Budget(endpoint_allowance_s(repeats * acts(probes), terms.act_deadline_ms))
        return [[await self._action(probe, terms, budget) for probe in probes] for _ in range(repeats)]

    async def _action(self, probe: Probed, terms: CheckTerms, budget: _Budget) -> Actions:
        pause_s = PAUSE_S
        while True:
            began_s = time.monotonic()
            try:
                return await self._asked(probe, terms, budget)
            except PolicyFailed as failed:
                self._lost_s += time.monotonic() - began_s + pause_s
                if self._lost_s > self._retry_s:
                    blamed = await self.blamed(failed)
                    again = f"{blamed}; it was asked again for {self._retry_s:g} s"
                    raise type(blamed)(again) from failed
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    async def _asked(self, probe: Probed, terms: CheckTerms, budget: _Budget) -> Actions:
        deadline_ms = endpoint_act_ms(terms.act_deadline_ms)
        reset_ms = endpoint_reset_ms(terms.reset_deadline_ms, terms.act_deadline_ms)
        async with self.policy() as policy:
            await policy.reset(probe.task, deadline_ms=reset_ms)
            for observation in probe.observations:
                decision = await policy.act(observation, probe.action_spec, deadline_ms=deadline_ms)
                budget.spend(decision.latency_ms / 1000)
        return flattened(decision.action, probe.action_spec)

    async def blamed(self, failed: PolicyFailed | EpisodeForfeit) -> EndpointFailed | OurNetwork:
        """Whose part the failure is."""
        check = await self._own_network.check(self.url, failed.doubt, self._witnesses)
        blame = verdict(failed, check, (), attempts_max=1)
        if isinstance(blame, TryAgain):
            return OurNetwork(f"{failed.code}: {blame.detail}")
        return EndpointFailed(f"{failed.code}: {blame.detail}")


class _Budget:
    """The endpoint's own time for all acts."""

    def __init__(self, allowance_s: float) -> None:
        self._allowance_s = self._left_s = allowance_s

    def spend(self, seconds: float) -> None:
        self._left_s -= seconds
        if self._left_s < 0:
            raise EndpointFailed(f"the endpoint took longer than {self._allowance_s:g} s for its actions together")
