"""What both sides are asked: an episode's observations from its reset on, and what is made of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consumers.verification.measure import Actions
from events.ids import EnvId, Uid
from events.verification import Undecided
from sim.policy import TaskConfig
from sim.rl_interface import Action, Observation
from sim.spec import ActionSpec


@dataclass(frozen=True, slots=True)
class Sampled:
    """Which action of which episode is compared."""

    uid: Uid
    """Whose episode it was."""
    env: EnvId
    index: int
    step: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the checked miner itself did at the sample when it was evaluated."""

    given: Actions
    """The native action that was recorded."""
    undecided: Undecided | None
    """Why it cannot be compared here, if so."""


@dataclass(frozen=True, slots=True)
class Probed:
    """One sample with the observations 0 to `step`; only the action that follows the last one is compared."""

    sample: Sampled
    observations: Sequence[Observation]
    action_spec: ActionSpec
    evaluation: Evaluation | None = None
    """None where the episode is another miner's, or no cycle's."""

    @property
    def task(self) -> TaskConfig:
        """As the policy was told when the episode was evaluated."""
        return TaskConfig(self.sample.env, self.sample.index)


def acts(probes: Sequence[Probed]) -> int:
    """How many actions one run through all probes asks for."""
    return sum(len(probe.observations) for probe in probes)


def flattened(action: Action, spec: ActionSpec) -> Actions:
    """All channels one after the other, by name; zeros for a channel that was left out, as in an evaluation."""
    return np.concatenate([action.channel(spec.channels[name]) for name in sorted(spec.channels)])
