"""The loop: wait for what is new of a backend, check it, submit it, and look what became of it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter

import structlog

from consumers.validator.attempt import Attempt, Fate, settled
from consumers.validator.backend import Backend, BackendAway
from consumers.validator.chain import SubnetChain, on_chain
from consumers.validator.checks import Alarm, Check, Refusal, Step, judged
from consumers.validator.deciding import Alarmed, Done, Refuse, Wait, after_checks, before_checks
from consumers.validator.documents import Answer, Subnet, parse_answer
from consumers.validator.facts import BLOCK_S, Facts, check_uids, wanted_weights
from consumers.validator.rounds import POLL_S, Outcome, Round, as_round, tell_check, told
from consumers.validator.store import Store
from consumers.validator.verifying import Terms, Verified, check_age, disagreement, verify
from events.chain.trouble import ChainTrouble, NodeRefused
from events.envelope import Clock, utc_now
from events.for_people import ForPeople
from events.ids import Hotkey

PAUSE_MAX_S = 600.0
"""The longest pause after trouble."""
PAUSE_MIN_S = 1.0
"""The shortest between two rounds, however often a backend says that there is something else."""
REVEAL_LOOK_ROUNDS = 20
"""How often the chain is asked whether it has revealed what was committed."""
TRIES_ONCE = 5
"""So often `--once` asks again, where a backend or the chain is away."""

Sleep = Callable[[float], Awaitable[None]]

log = structlog.stdlib.get_logger(__name__)


class GaveUp(ForPeople):
    """`--once`: neither submitted nor refused, because something that is needed is away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a validator was told."""

    backend_key: Hotkey
    netuid: int
    home: Path
    episodes: int = 0
    dry_run: bool = False


class Validator:
    """One hotkey on one subnet. Used by one task."""

    def __init__(
        self,
        settings: Settings,
        backends: Sequence[Backend],
        chain: SubnetChain,
        *,
        clock: Clock = utc_now,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._backends = list(backends)
        self._followed = self._backends[0]
        """The one whose answer was good last."""
        self._chain = chain
        self._clock = clock
        self._sleep = sleep
        self._terms: Terms | None = None
        self._store: Store | None = None
        self._attempt: Attempt | None = None
        self._known: tuple[str, Verified] | None = None
        """The newest verified weights, by the digest of the answer that led to them."""
        self._alarm: Alarm | None = None
        """Once there is one, nothing is submitted until somebody has looked, and starts the validator again."""
        self._rounds_to_look = 1
        self._said: Round | None = None

    async def follow(self) -> None:
        """Submits the weights of every cycle, for ever."""
        troubled_s = POLL_S
        while True:
            came = await self.round()
            jitter = random.uniform(0.8, 1.2)
            if came.outcome in (Outcome.TROUBLE, Outcome.REFUSED):
                await self._sleep(max(troubled_s * jitter, min(each.closed_s for each in self._backends)))
                troubled_s = min(2 * troubled_s, PAUSE_MAX_S)
            else:
                await self._pause(came.wait_s * jitter)
                troubled_s = POLL_S

    async def once(self) -> Round:
        """Submits what is new, if anything is: waits for the chain, but not for ever for who is away.

        Raises:
            GaveUp: a backend or the chain stayed away.
        """
        left = TRIES_ONCE
        while True:
            came = await self.round()
            if came.outcome is Outcome.TROUBLE:
                left -= 1
                if not left:
                    raise GaveUp(f"{came.detail} (tried {TRIES_ONCE} times)")
            elif came.outcome is not Outcome.WAITING:
                return came
            await self._sleep(min(came.wait_s, POLL_S) * random.uniform(0.8, 1.2))

    async def _pause(self, seconds: float) -> None:
        """Until there is something newer, where the backend knows how to wait for it; at most so long."""
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        listening = asyncio.ensure_future(self._followed.newer(seconds))
        started = monotonic()
        try:
            await asyncio.wait({sleeping, listening}, return_when=asyncio.FIRST_COMPLETED)
            if listening.done() and listening.result():
                await asyncio.wait({sleeping}, timeout=max(0.0, started + PAUSE_MIN_S - monotonic()))
            else:
                await sleeping
        finally:
            sleeping.cancel()
            listening.cancel()
            await asyncio.gather(sleeping, listening, return_exceptions=True)

    def close(self) -> None:
        """Lets another process have what is remembered."""
        if self._store is not None:
            self._store.close()

    async def round(self) -> Round:
        """One look at everything. What it came to is logged where it is new."""
        try:
            came = await self._look()
        except (BackendAway, ChainTrouble) as trouble:
            came = Round(Outcome.TROUBLE, str(trouble))
        if came != self._said:
            tell = log.warning if came.outcome in (Outcome.TROUBLE, Outcome.REFUSED) else log.info
            tell(came.outcome.name.lower(), detail=came.detail)
        self._said = came
        return came

    async def _look(self) -> Round:
        if self._alarm is not None:
            return Round(Outcome.REFUSED, str(self._alarm))
        terms = await self._opened()
        facts = await self._looked_after() if self._is_look_due() else None
        failed: list[Round] = []
        for backend in self._backends:
            try:
                came = await self._of(backend, terms, facts)
            except BackendAway as away:
                came = Round(Outcome.TROUBLE, str(away))
            if came.outcome not in (Outcome.TROUBLE, Outcome.REFUSED) or self._alarm is not None:
                self._followed = backend
                return came
            failed.append(came)
        return next((each for each in failed if each.outcome is Outcome.REFUSED), failed[0])

    def _is_look_due(self) -> bool:
        """While something sent is not on the chain, always; until it is revealed, now and then."""
        if self._attempt is None or not self._attempt.is_open:
            return False
        self._rounds_to_look = (self._rounds_to_look or REVEAL_LOOK_ROUNDS) - 1
        return self._attempt.fate is Fate.SENT or self._rounds_to_look == 0

    async def _opened(self) -> Terms:
        if self._terms is None:
            settings = self._settings
            subnet = Subnet(await self._chain.genesis(), settings.netuid)
            if self._store is None:
                self._store = Store(settings.home, subnet, self._chain.hotkey)
                if not settings.dry_run:
                    self._store.lock()
            self._attempt = self._store.read()
            self._terms = Terms(settings.backend_key, subnet, settings.episodes)
        return self._terms

    async def _of(self, backend: Backend, terms: Terms, facts: Facts | None) -> Round:
        latest = await backend.latest()
        if latest is None:
            return Round(Outcome.DONE, f"{backend.url} has no weights yet")
        try:
            answer = parse_answer(*latest)
        except Refusal as refused:
            tell_check(Check(Step.ANSWER.value, False, str(refused), 0.0))
            return Round(Outcome.REFUSED, f"{Step.ANSWER.value}: {refused}")
        early = before_checks(answer.cycle, self._attempt, facts)
        if early is not None:
            return as_round(early, facts)
        verified = await self._verified(backend, answer, terms)
        if isinstance(verified, Round):
            return verified
        return await self._act(verified, [other for other in self._backends if other is not backend])

    async def _verified(self, backend: Backend, answer: Answer, terms: Terms) -> Verified | Round:
        if self._known is not None and self._known[0] == answer.digest:
            return self._known[1]
        failed: list[Check] = []

        def tell(check: Check) -> None:
            tell_check(check)
            if check.passed is False:
                failed.append(check)

        verified = await verify(backend, answer, terms, tell)
        if verified is None:
            return Round(Outcome.REFUSED, f"{failed[0].name}: {failed[0].detail}")
        self._known = answer.digest, verified
        return verified

    async def _act(self, verified: Verified, others: list[Backend]) -> Round:
        """Submits, if the last checks pass and the chain would take it."""
        facts = await self._facts()
        wanted = wanted_weights(verified.weights)
        weights = on_chain(wanted, facts.weight_max)
        digest = hashlib.sha256(verified.statement.encode()).hexdigest()
        decision = after_checks(verified.cycle, digest, weights, self._attempt, facts)
        if isinstance(decision, Alarmed):
            self._alarm = Alarm(decision.why)
            return Round(Outcome.REFUSED, decision.why)
        if isinstance(decision, Wait):
            return as_round(decision, facts)
        for check in await self._last_checks(verified, others, facts):
            tell_check(check)
            if not check.passed:
                return Round(Outcome.REFUSED, f"{check.name}: {check.detail}")
        if isinstance(decision, Done | Refuse):
            return as_round(decision, facts)
        if self._settings.dry_run:
            return Round(Outcome.DONE, f"dry run: cycle {verified.cycle} would be submitted as {dict(weights)}")
        attempt = Attempt(
            cycle=verified.cycle,
            statement=digest,
            weights=weights,
            sealed=facts.commit_reveal,
            after_block=facts.block,
        )
        return await self._submit(attempt, wanted, facts.version_key)

    async def _last_checks(self, verified: Verified, others: list[Backend], facts: Facts) -> list[Check]:
        checks = [judged(Step.AGE, partial(check_age, verified, self._clock()))]
        if others:
            started = perf_counter()
            try:
                said, agreed = await disagreement(verified.cycle, verified.statement, verified.key, others), True
            except Alarm as alarm:
                self._alarm, said, agreed = alarm, str(alarm), False
            checks.append(Check(Step.BACKENDS.value, agreed, said, perf_counter() - started))
        return [*checks, judged(Step.UIDS, partial(check_uids, verified.weights, facts))]

    async def _submit(self, attempt: Attempt, wanted: dict[int, int], version_key: int) -> Round:
        self._remember(attempt)
        trouble = await self._chain.submit(wanted, version_key)
        facts = await self._looked_after()
        now = self._attempt
        assert now is not None
        if now.fate is Fate.SENT:
            said = f"cycle {now.cycle}: {trouble or 'sent, and not finalized yet'}; the chain will tell its fate"
            return Round(Outcome.WAITING, said, BLOCK_S)
        if now.fate is not Fate.LANDED:
            return Round(Outcome.REFUSED, told(now, facts))
        return Round(Outcome.SUBMITTED, told(now, facts))

    async def _looked_after(self) -> Facts:
        """What the chain says, and with it what became of the attempt."""
        facts = await self._facts()
        assert self._attempt is not None
        now = settled(self._attempt, facts)
        if now.fate in (Fate.LOST, Fate.REVEALED, Fate.OTHERS) and now.fate is not self._attempt.fate:
            log.warning(now.fate.value, detail=told(now, facts))
        if now != self._attempt:
            self._remember(now)
        return facts

    async def _facts(self) -> Facts:
        facts = await self._chain.facts()
        assert self._terms is not None
        if facts.genesis != self._terms.subnet.genesis:
            raise NodeRefused(
                f"a chain node speaks of the chain {facts.genesis}, expected {self._terms.subnet.genesis}: the"
                " endpoints are of different chains"
            )
        return facts

    def _remember(self, attempt: Attempt) -> None:
        assert self._store is not None
        if not self._settings.dry_run:
            self._store.write(attempt)
        self._attempt = attempt
