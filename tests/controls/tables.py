"""Tables of success rates, as cycles have them and as adversaries would like them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from consumers.scoring.rates import Rate
from consumers.scoring.standings import Contender
from events.ids import Uid

EPISODES = 50
STAIRCASE_EPISODES = 1_000
HEADS_EPISODES = 1_000
BLOCK = 1_000


def contenders(successes: Sequence[Sequence[int]], episodes: int = EPISODES) -> list[Contender]:
    """One miner per row, the earliest first: its successes per environment, of `episodes` each."""
    return [
        Contender(Uid(uid), BLOCK + uid, tuple(Rate(count, episodes) for count in row))
        for uid, row in enumerate(successes)
    ]


def random_table(miners: int, environments: int, seed: int = 1) -> list[Contender]:
    random = Random(seed)
    return contenders([[random.randint(0, EPISODES) for _ in range(environments)] for _ in range(miners)])


def staircase(miners: int, environments: int) -> list[Contender]:
    """Each later miner is slightly better on every environment."""
    steps = [STAIRCASE_EPISODES * (miner + 1) // (miners + 1) for miner in range(miners)]
    return contenders([[step] * environments for step in steps], STAIRCASE_EPISODES)


def challenged(environments: int, masks: Sequence[int]) -> list[Contender]:
    """A first miner at 0.5 everywhere, and one more per mask that beats it exactly where the mask has a bit."""
    first = [EPISODES // 2] * environments
    later = [[EPISODES * (8 if mask >> env & 1 else 2) // 10 for env in range(environments)] for mask in masks]
    return contenders([first, *later])


def random_masks(count: int, environments: int, share: float, seed: int = 1) -> list[int]:
    """Masks with the given share of all bits each. Those of 0.8 to 0.9 are the hardest to count that were found."""
    random = Random(seed)
    size = round(environments * share)
    return [sum(1 << env for env in random.sample(range(environments), size)) for _ in range(count)]


def windows(environments: int, length: int) -> list[int]:
    """All but `length` neighbours, for each place: what is counted are the sets that meet every window."""
    everything = (1 << environments) - 1
    window = (1 << length) - 1
    return [everything & ~(window << start) for start in range(environments - length + 1)]


def without_pairs(count: int, environments: int, seed: int = 1) -> list[int]:
    """All but two environments each: what is counted are the vertex covers of a random graph."""
    random = Random(seed)
    everything = (1 << environments) - 1
    pairs = (random.sample(range(environments), 2) for _ in range(count))
    return [everything & ~(1 << one | 1 << other) for one, other in pairs]


def heads(count: int, environments: int, masks: Sequence[int]) -> list[Contender]:
    """Several first miners, each hard to count: each beats those before it on all but the first environments.

    A challenger beats all of them where its mask has a bit.
    """
    level = [100 + 40 * head for head in range(count + 1)]
    first = [[level[head] if env >= head else 50 for env in range(environments)] for head in range(count)]
    later = [[level[count] if mask >> env & 1 else 50 for env in range(environments)] for mask in masks]
    return contenders([*first, *later], HEADS_EPISODES)
