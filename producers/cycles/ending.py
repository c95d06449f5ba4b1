"""How a cycle ends: what is left is forfeited, abandoned or called off, and the whole sealed or abandoned. Pure."""

from __future__ import annotations

from events.cycles import CycleAbandoned, CycleAbandonReason, CycleSealed, RosterEntry
from events.draws import Candidate
from events.episodes import AbandonCode, ActLatency, EpisodeAbandoned, EpisodeForfeited, ForfeitCode
from events.event import TEXT_MAX
from events.ids import EpisodeKey, Uid
from events.verification import InconclusiveReason, VerificationInconclusive
from producers.cycles.state import CycleEnd, CycleState

CONDUCTOR = "conductor"
"""Stands as the worker of what no worker has run, and as the verifier of what no verifier has checked."""


def end_of(state: CycleState, secret: bytes) -> CycleEnd:
    """The seal of a complete cycle; or, below the coverage that its rules ask for, its abandonment."""
    assert state.plan is not None
    assert state.complete
    counts, rules = state.counts, state.plan.event.rules
    if not state.covered:
        counted = counts.completed + counts.forfeited
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
        hotkey=_entry(key.uid, state).hotkey,
        env=key.env,
        index=key.index,
        attempts=state.failed_attempts(key),
        code=AbandonCode.CYCLE_DEADLINE,
        detail=f"no outcome within {plan.deadline_s} s of the plan",
    )


def given_up(key: EpisodeKey, state: CycleState) -> EpisodeForfeited:
    """What becomes of an episode whose miner has lost its last chance. The same whenever and wherever it is asked."""
    return EpisodeForfeited(
        cycle=key.cycle,
        uid=key.uid,
        hotkey=_entry(key.uid, state).hotkey,
        env=key.env,
        index=key.index,
        attempt=state.failed_attempts(key) + 1,
        code=ForfeitCode.GIVEN_UP,
        detail=_why_given_up(key, state),
        steps=0,
        evidence=None,
        latency=ActLatency(calls=0, p50_ms=0, max_ms=0),
        duration_s=0,
        worker=CONDUCTOR,
    )


def called_off(candidate: Candidate, state: CycleState) -> VerificationInconclusive:
    """What becomes of a check that nobody has made in time, or that cannot be made."""
    assert state.plan is not None
    terms = state.plan.event.verification
    assert terms is not None
    commitment = _entry(candidate.uid, state).commitment
    if state.checks.recorded:
        reason = InconclusiveReason.TOO_LATE
        detail = f"not checked within {terms.within_s} s of the last episode's outcome; is a verifier running?"
    else:
        reason = InconclusiveReason.NO_RECORDINGS
        detail = "no episode of the cycle was completed, so there is nothing to check with"
    return VerificationInconclusive(
        cycle=state.cycle,
        uid=candidate.uid,
        hotkey=candidate.hotkey,
        repo=commitment.repo,
        revision=commitment.revision,
        duration_s=0,
        verifier=CONDUCTOR,
        reason=reason,
        detail=detail,
        committed=None,
    )


def _why_given_up(key: EpisodeKey, state: CycleState) -> str:
    miner = state.chances.of(key.uid)
    last = miner.last_forfeit
    assert state.plan is not None
    assert last is not None, f"uid {key.uid} is given up without a forfeit"
    limit = state.plan.event.terms.forfeits_in_row_max
    return _shortened(
        f"not run: forfeit {miner.in_row} in a row (after {limit} a miner is set aside until one last episode) was"
        f" {last.env} {last.index}, {last.code}: {last.detail}"
    )


def _shortened(text: str) -> str:
    """At most as long as an event's prose may be."""
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"


def _entry(uid: Uid, state: CycleState) -> RosterEntry:
    assert state.plan is not None
    return next(entry for entry in state.plan.event.roster if entry.uid == uid)
