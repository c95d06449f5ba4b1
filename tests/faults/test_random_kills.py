"""Anybody dies at any moment, again and again: roles in mid-work or in mid-start, and both servers."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter

import pytest

from events import subjects
from tests.faults.conftest import Tell
from tests.faults.stage import ROLES, Stage, stage
from tests.system.cycles import CYCLE, Result, Subnet

LONG = bool(os.environ.get("KINITRO_TESTS_LONG"))
KILLS = 200 if LONG else 15
"""Over so many cycles as it takes."""
KILLS_HELD = (4, 9)
"""So many of a cycle's kills come while one miner's policy is silent, so that they do not all hit its end."""
PAUSE_S = (0.05, 2.0)
SERVERS = ("nats", "postgres")
ATTEMPTS = 100
"""For an episode: that none is abandoned, however often its workers die, is not what this is about."""


@pytest.mark.timeout(7200 if LONG else 600)
async def test_kill_9_of_anybody_at_any_moment(
    subnet: Subnet, undisturbed: Result, dice: random.Random, tell: Tell
) -> None:
    patient, killed, cycles = subnet.under(attempts=ATTEMPTS), Counter[str](), 0
    while killed.total() < KILLS:
        with patient.held() as release:
            async with stage(patient) as it:
                now = await killed_at_random(it, dice, dice.randint(*KILLS_HELD))
                release()
                now += await killed_until_signed(it, dice, KILLS - killed.total() - now.total())
                await it.unharmed(undisturbed)
                await all_came_back(it, now)
        killed += now
        cycles += 1
    told = ", ".join(f"{name} {count}" for name, count in sorted(killed.items()))
    tell(f"{killed.total()} kills in {cycles} cycles ({told}); all came back; the same weights in every cycle")


async def killed_at_random(it: Stage, dice: random.Random, kills: int) -> Counter[str]:
    victims = dice.choices((*ROLES, *SERVERS), k=kills)
    for victim in victims:
        await asyncio.sleep(dice.uniform(*PAUSE_S))
        await kill(it, victim, away_s=dice.choice((0.0, dice.uniform(*PAUSE_S))))
    return Counter(victims)


async def killed_until_signed(it: Stage, dice: random.Random, kills: int) -> Counter[str]:
    """So many kills; fewer if the cycle is over before."""
    killed = Counter[str]()
    while killed.total() < kills and await it.log.last(subjects.signed_weights(CYCLE)) is None:
        killed += await killed_at_random(it, dice, 1)
    return killed


async def kill(it: Stage, victim: str, away_s: float) -> None:
    match victim:
        case "nats":
            await it.restart_nats(away_s)
        case "postgres":
            await it.restart_postgres(away_s)
        case _:
            await it.role(victim).killed()


async def all_came_back(it: Stage, killed: Counter[str]) -> None:
    """One may start more often than it was killed: it ends by itself where its server is away as it starts."""
    for name, role in it.roles.items():
        await role.running()
        assert role.starts >= killed[name] + 1, f"{role} has not come back after each kill"
