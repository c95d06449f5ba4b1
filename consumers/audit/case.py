"""One episode as evidence: what was said about it, and all that is needed to see for oneself.

CannotAudit
├── NoSuchEpisode    no plan holds it
├── NotYetPublic     its cycle has not ended, so the seed and the recording are still secret
├── NeverRan         it was abandoned, or forfeited before its first step
├── TraceGone        its recording is no longer kept, or never was
└── SourceAway       the log or the API does not answer
"""

from __future__ import annotations

from dataclasses import dataclass

from events.cycles import CyclePlanned
from events.episodes import EpisodeCompleted, EpisodeForfeited, Evidence
from events.for_people import ForPeople
from events.ids import EpisodeKey, Hotkey, Seed
from events.seeds import SeedMaterial, commitment_to
from sim.episode import EpisodeSpec


class CannotAudit(ForPeople):
    """There is nothing to compare; the message says why, and what to do."""


class NoSuchEpisode(CannotAudit):
    """No plan holds it."""


class NotYetPublic(CannotAudit):
    """Until the cycle has ended other miners may have the same episode before them."""


class NeverRan(CannotAudit):
    """The outcome speaks of no simulation."""


class TraceGone(CannotAudit):
    """Without the recorded actions nobody can run the episode again."""


class SourceAway(CannotAudit):
    """The log or the API does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the log says about an episode that was run."""

    hotkey: Hotkey
    attempt: int
    forfeited: str | None
    """The code; None where the episode ran to its end."""
    success: bool
    total_reward: float | None
    """This and the next two are None in a forfeit, which does not speak of them."""
    terminated: bool | None
    truncated: bool | None
    steps: int
    evidence: Evidence

    @property
    def ending(self) -> str:
        """For people."""
        if self.forfeited:
            return f"forfeited ({self.forfeited})"
        return "success" if self.success else "no success"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A claim, the events from which its seed follows, and its recording."""

    key: EpisodeKey
    plan: CyclePlanned
    block_hash: str
    """Of `CycleSeeded`, in hex."""
    secret: str
    """As revealed when the cycle ended, in hex."""
    claim: Claim
    recording: bytes
    """`sim.record` bytes, as they were stored."""

    @property
    def is_committed(self) -> bool:
        """Whether the revealed secret is the one that the plan committed to."""
        return commitment_to(bytes.fromhex(self.secret)) == self.plan.secret_commitment

    def seed(self) -> Seed:
        material = SeedMaterial(bytes.fromhex(self.secret), bytes.fromhex(self.block_hash), self.key.cycle)
        return material.seed(self.key.env, self.key.index)

    def spec(self) -> EpisodeSpec:
        """How to run the episode again, by the plan alone."""
        terms = self.plan.terms
        return EpisodeSpec(
            env=self.key.env,
            seed=self.seed(),
            index=self.key.index,
            profile=terms.observation_profile,
            max_steps=terms.steps_max,
            variation=terms.variation,
        )


def claim_of(outcome: EpisodeCompleted | EpisodeForfeited) -> Claim:
    """What the outcome claims.

    Raises:
        NeverRan: it was forfeited without a step.
    """
    if outcome.evidence is None:
        raise NeverRan(
            f"episode {outcome.key.id} was forfeited without evidence, before it began or by an older version:"
            f" {outcome.detail}"
        )
    completed = outcome if isinstance(outcome, EpisodeCompleted) else None
    return Claim(
        hotkey=outcome.hotkey,
        attempt=outcome.attempt,
        forfeited=outcome.code.value if isinstance(outcome, EpisodeForfeited) else None,
        success=completed.success if completed else False,
        total_reward=completed.total_reward if completed else None,
        terminated=completed.terminated if completed else None,
        truncated=completed.truncated if completed else None,
        steps=outcome.steps,
        evidence=outcome.evidence,
    )


def check_planned(plan: CyclePlanned, key: EpisodeKey) -> None:
    """Refuse an episode that the plan does not hold.

    Raises:
        NoSuchEpisode: with what the plan holds.
    """
    if key.env not in plan.environments:
        known = ", ".join(plan.environments)
        raise NoSuchEpisode(f"cycle {key.cycle} has no environment {key.env}; it has {known}")
    if key.uid not in {entry.uid for entry in plan.roster}:
        raise NoSuchEpisode(
            f"cycle {key.cycle} has no miner with uid {key.uid}; see `kinitro cycle show {key.cycle}`"
        )
    if key.index >= plan.episodes_per_environment:
        last = plan.episodes_per_environment - 1
        raise NoSuchEpisode(f"cycle {key.cycle} has no episode {key.index} on {key.env}; they go from 0 to {last}")
