"""What the chain says about a subnet and about us in it, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from consumers.validator.checks import Refusal
from events.ids import Hotkey
from events.weights import WeightsComputed

BLOCK_S = 12.0
"""Between two blocks, on the real chain."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Sealed weights of ours, which the chain opens by itself."""

    block: int
    reveal_round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Us:
    """The validator's own neuron."""

    uid: int
    permit: bool
    stake_rao: int
    last_update: int
    """The block at which this uid last set or committed weights; of a new one, when it was registered."""
    weights: tuple[tuple[int, int], ...]
    """In force: (uid, u16), by uid."""
    commits: tuple[Commit, ...]
    """Oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All of it at one finalized block, but for `head`."""

    genesis: str
    netuid: int
    block: int
    head: int
    """The newest block, which need not stay in the chain."""
    hotkeys: tuple[Hotkey, ...]
    """By uid."""
    commit_reveal: bool
    rate_limit: int
    """So many blocks must be between two submissions of one uid."""
    stake_min_rao: int
    version_key: int
    weight_max: int
    """The largest share of one miner, as u16 of 65535."""
    weights_min: int
    """How many miners must get weight at least."""
    us: Us | None
    """None: our hotkey holds no uid."""

    @property
    def blocks_to_wait(self) -> int:
        """Until the rate limit allows the next submission."""
        if self.us is None or self.us.last_update == 0:
            return 0
        return max(0, self.us.last_update + self.rate_limit - self.block)


def wanted_weights(weights: WeightsComputed) -> dict[int, int]:
    """Miners that get weight, as u16 by uid."""
    u16 = weights.weights_u16
    return {uid: value for uid, value in zip(u16.uids, u16.values, strict=True) if value}


def check_uids(weights: WeightsComputed, facts: Facts) -> str:
    """Whether every hotkey that gets weight still holds its uid. Who gets none may have left: nothing is submitted.

    Raises:
        Refusal: one does not, and somebody else would be paid.
    """
    wanted = wanted_weights(weights)
    there: Mapping[int, Hotkey] = dict(enumerate(facts.hotkeys))
    moved = [each for each in weights.standings if there.get(each.uid) != each.hotkey]
    for each in moved:
        if each.uid in wanted:
            raise Refusal(
                f"uid {each.uid}: expected {each.hotkey}, found {there.get(each.uid, 'nobody')} at block"
                f" {facts.block}; the next cycle has the new roster"
            )
    left = f"; {len(moved)} without weight have left" if moved else ""
    return f"{len(wanted)} hotkeys hold their uids at block {facts.block}{left}"
