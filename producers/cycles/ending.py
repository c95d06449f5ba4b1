"""How a cycle ends: what is left is abandoned, and the whole is sealed or abandoned. Pure."""

from __future__ import annotations

from events.cycles import CycleAbandoned, CycleAbandonReason, CycleSealed
from events.episodes import AbandonCode, EpisodeAbandoned
from events.ids import EpisodeKey
from producers.cycles.state import CycleEnd, CycleState


def end_of(state: CycleState, secret: bytes) -> CycleEnd:
    """The seal of a complete cycle; or, below the coverage that its rules ask for, its abandonment."""
    assert state.plan is not None
    assert state.complete
    counts, rules = state.counts, state.plan.event.rules
    counted = counts.completed + counts.forfeited
    if counted < rules.coverage_min * state.planned:
        return CycleAbandoned(
            cycle=state.cycle,
            reason=CycleAbandonReason.COVERAGE,
            detail=f"{counted} of {state.planned} planned episodes could be counted; the rules ask for a share of at"
            f" least {rules.coverage_min}",
            outcomes=counts,
            secret=secret.hex(),
        )
    return CycleSealed(
        cycle=state.cycle,
        outcomes=counts,
        first_sequence=state.plan.sequence,
        last_sequence=state.last_sequence,
        tree_size=state.tree.size,
        merkle_root=state.tree.root().hex(),
        secret=secret.hex(),
    )


def late(key: EpisodeKey, state: CycleState) -> EpisodeAbandoned:
    """What becomes of an episode that has no outcome at the deadline."""
    assert state.plan is not None
    plan = state.plan.event
    return EpisodeAbandoned(
        cycle=key.cycle,
        uid=key.uid,
        hotkey=next(entry.hotkey for entry in plan.roster if entry.uid == key.uid),
        env=key.env,
        index=key.index,
        attempts=state.failed_attempts(key),
        code=AbandonCode.CYCLE_DEADLINE,
        detail=f"no outcome within {plan.deadline_s} s of the plan",
    )
