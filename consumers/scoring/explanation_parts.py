"""The parts of an explanation, as the API and `--json` give them.

What is exact is a whole number, a decimal or a fraction, as text; roots are shown to 18 places, and never compared
in that form.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from events.event import Value
from events.ids import CycleId, EnvId, Hotkey, Uid
from events.weights import EnvironmentTally


class Miner(Value):
    """A miner of the cycle."""

    uid: Uid
    hotkey: Hotkey
    committed_block: Annotated[int, Field(description="who committed earlier need not exceed anybody who came later")]


class RateShown(Value):
    """Successes of counted episodes; `rate` is their quotient as a fraction, 0 where nothing was counted."""

    successes: int
    counted: int
    rate: str


class Rival(Value):
    """Another miner on an environment, against the threshold that decides."""

    miner: Miner
    rate: RateShown
    threshold: Annotated[str, Field(description="of whoever is earlier: what a later rate must exceed, at most 1")]
    by: Annotated[str, Field(description="how far the later rate is above the threshold, or short of it")]


class Rivals(Value):
    """The most telling first; `total` counts also those that are not listed."""

    total: int
    listed: tuple[Rival, ...]


class EnvironmentPart(Value):
    """A miner on one environment."""

    env: EnvId
    episodes: EnvironmentTally
    rate: RateShown
    gap: Annotated[str, Field(description="by how much a later miner must pass this rate")]
    threshold: Annotated[str, Field(description="rate + gap, at most 1: a later miner must exceed it")]
    epsilon: Annotated[str, Field(description="what counts as no difference in dominance")]
    open: Annotated[bool, Field(description="a success, and above the thresholds of all earlier miners")]
    wins_alone: Annotated[bool, Field(description="the subset of only this environment is won")]
    not_exceeded: Annotated[Rivals, Field(description="earlier miners whose threshold this rate does not exceed")]
    exceeded_by: Annotated[Rivals, Field(description="later miners whose rate exceeds this threshold")]


class Deciding(Value):
    """An environment that decides a subset; `rival` is null where the miner had no success."""

    env: EnvId
    rival: Rival | None


class LossShown(Value):
    """A lost subset with one reason, which is enough alone."""

    environments: tuple[EnvId, ...]
    reason: Literal["no success", "not above an earlier miner", "taken by a later miner"]
    by: Miner | None
    on: Annotated[tuple[Deciding, ...], Field(description="the environments that decide")]


class TakenShown(Value):
    """Where, within `wins_within`, a later miner exceeds this one: it loses every subset of these environments."""

    by: Miner
    environments: tuple[EnvId, ...]


class SizeRow(Value):
    """The subsets of one size, and what those won are worth."""

    size: int
    subsets: str
    won: str
    points_each: str
    points: str


class Subsets(Value):
    """A subset is won iff it lies within `wins_within`, and within the environments of no entry of `taken`."""

    wins_within: tuple[EnvId, ...]
    taken: Annotated[
        tuple[TakenShown, ...], Field(description="all that is needed; what lies within another is left out")
    ]
    by_size: Annotated[
        tuple[SizeRow, ...] | None, Field(description="null: counting them takes too long to wait for")
    ]
    largest_won: tuple[tuple[EnvId, ...], ...]
    smallest_lost: tuple[LossShown, ...]


class Points(Value):
    """Points and what they follow from. `recomputed` is the sum over the sizes; null where they were not counted."""

    published: str
    recomputed: str | None
    formula: str
    most: str
    most_of: Miner


class Weight(Value):
    """weight = exp((points - most) / temperature), divided by the sum of the same over all miners.

    Who has `moved`, or is unverified, is none of them.
    """

    weight: str
    u16: int
    rank: Annotated[int, Field(description="1: nobody has more")]
    miners: int
    temperature: str
    moved: Annotated[
        bool, Field(description="it no longer held its uid when the cycle ended: no weight, whatever its points")
    ] = False
    unverified_since: Annotated[
        CycleId | None,
        Field(
            description="in which cycle it failed a spot check; none has passed since: no weight, whatever its points"
        ),
    ] = None


class Dominator(Value):
    """A rival that is nowhere worse by more than epsilon, and better by more on `better_on`."""

    miner: Miner
    better_on: Annotated[
        dict[EnvId, str], Field(description="environment -> how much higher its rate is, a fraction")
    ]


class Frontier(Value):
    """On the frontier is whom nobody dominates."""

    published: bool
    dominated_by_total: int
    dominated_by: tuple[Dominator, ...]


class Proof(Value):
    """Where in the log all of this stands. The Merkle tree covers the cycle's events between the two sequences."""

    plan_subject: str
    plan_sequence: int
    weights_subject: str
    weights_sequence: int
    weights_event_id: str
    merkle_root: str
    first_sequence: int
    last_sequence: int
    tree_size: int
    episodes: Annotated[str, Field(description="path of the API with this miner's episodes")]


class Explanation(Value):
    """Why a miner has its weight in a cycle."""

    cycle: CycleId
    block: int
    miner: Miner
    weight: Weight
    points: Points
    subsets: Subsets
    environments: tuple[EnvironmentPart, ...]
    frontier: Frontier
    proof: Proof
