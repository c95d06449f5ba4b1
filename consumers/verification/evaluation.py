"""What a miner did in the evaluation, and whether the check has the observations that it had then. Pure."""

from __future__ import annotations

from consumers.verification.probes import Evaluation
from events.tasks import CheckTask, ProbeTask
from events.verification import Undecided
from sim.cameras import find_profile
from sim.playing import Played
from sim.record import Record
from sim.trace import CHECKPOINT_STEPS
from sim.versions import machine, versions


def evaluation_of(task: CheckTask, probe: ProbeTask, record: Record, played: Played) -> Evaluation:
    """`record` is the probe's, `played` is that record up to the probe's step, in this process."""
    return Evaluation(record.actions[probe.step], _undecided(task, probe, record, played))


def _undecided(task: CheckTask, probe: ProbeTask, record: Record, played: Played) -> Undecided | None:
    if probe.versions != versions():
        return Undecided.OTHER_VERSIONS
    if find_profile(task.terms.observation_profile).cameras:
        if probe.machine != machine():
            return Undecided.OTHER_MACHINE  # pictures are drawn by other code there
        if not played.track.pictures or record.track.pictures != played.track.pictures:
            return Undecided.OTHER_OBSERVATIONS
    rewards, checkpoints = record.track.rewards, record.track.checkpoints
    agreed = (rewards[: probe.step], checkpoints[: 1 + probe.step // CHECKPOINT_STEPS])
    if agreed != (played.track.rewards, played.track.checkpoints):
        return Undecided.OTHER_OBSERVATIONS
    return None
