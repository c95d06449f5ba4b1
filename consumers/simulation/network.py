"""Whether this worker's own network works, as far as the policies that it talks to can tell.

A policy's endpoint is a good witness because it is what we need to reach: past our router, our uplink and, if
it is a name, our resolver. Nothing is asked of services that have no part in this. Endpoints may be secret:
they are neither logged nor in any text from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from yarl import URL

from consumers.simulation.blame import Check
from sim.http.addresses import AddressRefused, is_address, socket_factory
from sim.http.deadline import Deadline, DeadlinePassed
from sim.http.names import resolve
from sim.policy import Doubt

LATELY_S = 300.0
"""How long an endpoint that answered is expected to answer again."""
WITNESSES_MAX = 64
ASKED_MAX = 3
CHECK_S = 2.0
"""For all connections of a check together: they are tried at once."""
FRESH_S = 3.0
"""For how long what a witness said counts: episodes that fail together check once."""

Witness = tuple[str, int]
"""Host and port."""


class OwnNetwork:
    """One per worker process. Remembers who answered, and asks a few of them when somebody else does not."""

    def __init__(self, *, allow_private: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """`allow_private`: see `sim.http.addresses.refusal`, which holds here too. `clock`: seconds, monotonic."""
        self._create_socket = socket_factory(allow_private=allow_private)
        self._clock = clock
        self._answered: OrderedDict[Witness, float] = OrderedDict()
        self._asked: dict[Witness, tuple[float, asyncio.Task[bool]]] = {}
        self._rng = random.Random()

    def answered(self, endpoint: str) -> None:
        """A connection to this endpoint was made just now."""
        witness = _witness(endpoint)
        self._answered[witness] = self._clock()
        self._answered.move_to_end(witness)
        if len(self._answered) > WITNESSES_MAX:
            self._answered.popitem(last=False)

    async def check(self, suspect: str, doubt: Doubt, introduced: Sequence[str] = ()) -> Check:
        """Tries to connect to up to three endpoints on other hosts than the suspect's, in at most `CHECK_S`.

        Which ones is left to chance, so that nobody can arrange to be asked. If the suspect had been connected
        to, it is asked as well: its own answer rules us out best. If its name was not resolved, only names can
        tell whether our resolver works.

        `introduced`: endpoints that nobody here has talked to. One that can be connected to is a witness; one that
        cannot may never have been there, and shows nothing.
        """
        if doubt is Doubt.NONE:
            return Check()
        self._forget()
        host = _witness(suspect)[0]

        def fits(witness: Witness) -> bool:
            return witness[0] not in ("", host) and not (doubt is Doubt.NAME_UNANSWERED and is_address(witness[0]))

        others = [it for it in self._answered if fits(it)]
        strangers = [it for it in dict.fromkeys(map(_witness, introduced)) if fits(it) and it not in self._answered]
        # Those that were asked just now come first: many suspects at a time are no reason to ask everybody.
        chosen = sorted(others, key=lambda it: (it not in self._asked, self._rng.random()))[:ASKED_MAX]
        if chosen and doubt is Doubt.FELL_SILENT:
            chosen.append(_witness(suspect))
        asked = [*chosen, *strangers[:ASKED_MAX]]
        answers = await asyncio.gather(*(asyncio.shield(self._ask(witness)) for witness in asked))
        met = sum(answers[len(chosen) :])
        return Check(asked=len(chosen) + met, answered=sum(answers))

    def _forget(self) -> None:
        now_s = self._clock()
        for witness in [it for it, when_s in self._answered.items() if now_s - when_s > LATELY_S]:
            del self._answered[witness]
        for witness in [it for it, (when_s, _) in self._asked.items() if now_s - when_s > FRESH_S]:
            del self._asked[witness]

    def _ask(self, witness: Witness) -> asyncio.Task[bool]:
        if witness not in self._asked:
            self._asked[witness] = (self._clock(), asyncio.create_task(self._connects(witness)))
        return self._asked[witness][1]

    async def _connects(self, witness: Witness) -> bool:
        with contextlib.suppress(OSError, UnicodeError, AddressRefused, DeadlinePassed):
            async with Deadline(CHECK_S):
                for family, kind, protocol, name, address in await resolve(*witness):
                    with (
                        contextlib.suppress(OSError),
                        self._create_socket((family, kind, protocol, name, address)) as it,
                    ):
                        it.setblocking(False)
                        await asyncio.get_running_loop().sock_connect(it, address)
                        return True
        return False


def _witness(endpoint: str) -> Witness:
    try:
        url = URL(endpoint)
    except ValueError:
        return "", 0
    return url.host or "", url.port or 0
