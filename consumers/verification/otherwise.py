"""Asking the committed code for the same observation otherwise than in its episode: does it keep a state?"""

from __future__ import annotations

from collections.abc import Sequence

from consumers.verification.committed_code import CodeFailed, CommittedCode
from consumers.verification.evaluated import Otherwise
from consumers.verification.probes import Probed
from events.ids import EnvId, split_env_id
from sim.policy import TaskConfig


async def asked_otherwise(
    code: CommittedCode, probes: Sequence[Probed], environments: Sequence[EnvId]
) -> list[Otherwise | None]:
    """For each probe, in their order; None where it decides nothing, or the code gives no answer.

    Questions that no evaluation asks are no reason to fail: they come last, and code that breaks off has said
    nothing.

    Raises:
        SandboxBroken
    """
    answers: list[Otherwise | None] = [None] * len(probes)
    try:
        for number, probe in enumerate(probes):
            if is_asked_otherwise(probe):
                answers[number] = await _otherwise(code, probe, _other(probes, number), environments)
    except CodeFailed:
        return answers
    return answers


def is_asked_otherwise(probe: Probed) -> bool:
    """Whether it could decide anything."""
    return probe.evaluation is not None and probe.evaluation.undecided is None


def _other(probes: Sequence[Probed], number: int) -> Probed:
    """The next one of the same robot, or itself."""
    in_turn = [*probes[number + 1 :], *probes[: number + 1]]
    return next(each for each in in_turn if _family(each.sample.env) == _family(probes[number].sample.env))


async def _otherwise(code: CommittedCode, probe: Probed, other: Probed, environments: Sequence[EnvId]) -> Otherwise:
    env, index = probe.sample.env, probe.sample.index
    elsewhere = [it for it in environments if it != env and _family(it) == _family(env)]
    acts = len(other.observations) + len(probe.observations) + 1 + len(elsewhere)
    code.allow_later(acts, resets=2 + len(elsewhere))
    last = probe.observations[-1:]
    return Otherwise(
        alone=await code.action(probe.task, last, probe.action_spec),
        after_others=await code.action(
            TaskConfig(env, index + 1), [*other.observations, *probe.observations], probe.action_spec
        ),
        elsewhere=tuple([await code.action(TaskConfig(it, index), last, probe.action_spec) for it in elsewhere]),
    )


def _family(env: EnvId) -> str:
    return split_env_id(env)[0]
