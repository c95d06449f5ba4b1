"""A check by hand: episodes of our own instead of a cycle's, then the same check as a verifier's."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from consumers.simulation.network import OwnNetwork
from consumers.verification.check import Tell, check
from consumers.verification.probes import Probed, Sampled
from consumers.verification.repository import Repositories
from consumers.verification.sandbox.choice import choose_sandbox
from consumers.verification.sandbox.protocol import NoSandbox, Sandbox
from consumers.verification.served import Endpoint, EndpointFailed, OurNetwork
from consumers.verification.terms import CheckTerms
from consumers.verification.trouble import HubTrouble, RepositoryRefused
from consumers.verification.verdict import Failed, Finding, Inconclusive
from events.ids import EnvId, Seed, Uid
from events.variation import STANDARD
from events.verification import FailureReason, InconclusiveReason, Measure
from sim.episode import EpisodeForfeit, EpisodeSpec, run_episode
from sim.playing import play
from sim.stage import SimulationThread
from sim.trace import decode_trace

STEPS_MAX = 50
ACT_DEADLINE_MS, RESET_DEADLINE_MS = 100.0, 5000.0
ACT_PATIENCE = 10.0
"""An act of the episodes may take so many times its deadline: speed is not what is checked."""
WITHIN_S = 1800.0
RETRY_S = 5.0
INDEX_MAX = 1000
NOBODY = Uid(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Who is checked, and how."""

    endpoint: str
    allow_private: bool
    environments: Sequence[EnvId]
    profile: str
    samples: int
    tolerance: Decimal
    engine: str
    """URL of the Docker engine."""


async def checked(
    trial: Trial, code: Path | tuple[Repositories, str, str], stage: SimulationThread, tell: Tell
) -> Finding:
    """Whether the endpoint acts as the code: a directory, or the repository and revision of a hub.

    Raises:
        SimError: the environments cannot be had here.
    """
    sandbox = await choose_sandbox(trial.engine)
    if isinstance(sandbox, NoSandbox):
        return Inconclusive(InconclusiveReason.NO_SANDBOX, sandbox.reason)
    if isinstance(code, Path):
        return await _checked(trial, sandbox, code, stage, tell)
    repositories, repo, revision = code
    try:
        tell(f"fetching {repo} at {revision}")
        async with repositories.snapshot(repo, revision) as snapshot:
            tell(f"{len(snapshot.files)} files, {snapshot.size} bytes, commit {snapshot.commit}")
            return await _checked(trial, sandbox, snapshot.path, stage, tell)
    except RepositoryRefused as refused:
        return Failed(FailureReason.REPOSITORY_REFUSED, str(refused))
    except HubTrouble as trouble:
        return Inconclusive(InconclusiveReason.HUB_TROUBLE, str(trouble))


async def _checked(trial: Trial, sandbox: Sandbox, code_dir: Path, stage: SimulationThread, tell: Tell) -> Finding:
    endpoint = Endpoint(
        trial.endpoint,
        own_network=OwnNetwork(allow_private=trial.allow_private),
        allow_private=trial.allow_private,
        retry_s=RETRY_S,
    )
    try:
        probes = [await _probe(trial, number, endpoint, stage, tell) for number in range(trial.samples)]
    except EndpointFailed as failed:
        return Failed(FailureReason.ENDPOINT_FAILED, str(failed))
    except OurNetwork as ours:
        return Inconclusive(InconclusiveReason.OUR_NETWORK, str(ours))
    terms = CheckTerms(
        tolerance=trial.tolerance,
        measure=Measure.BY_CHANNEL,
        seed=secrets.randbits(64),
        act_deadline_ms=ACT_DEADLINE_MS,
        reset_deadline_ms=RESET_DEADLINE_MS,
        within_s=WITHIN_S,
    )
    return await check(sandbox, code_dir, endpoint, probes, terms, tell)


async def _probe(trial: Trial, number: int, endpoint: Endpoint, stage: SimulationThread, tell: Tell) -> Probed:
    """A short episode of the endpoint, up to a step that is drawn.

    Raises:
        EndpointFailed, OurNetwork: it did not get to its end.
    """
    spec = EpisodeSpec(
        env=trial.environments[number % len(trial.environments)],
        seed=Seed(secrets.randbits(64)),
        index=secrets.randbelow(INDEX_MAX),
        profile=trial.profile,
        max_steps=STEPS_MAX,
        variation=STANDARD,
        act_deadline_ms=ACT_PATIENCE * ACT_DEADLINE_MS,
        reset_deadline_ms=RESET_DEADLINE_MS,
    )
    tell(f"episode {number + 1} of {trial.samples}: {spec.env} #{spec.index}")
    async with endpoint.policy() as policy:
        result = await run_episode(spec, policy, stage)
    if isinstance(result, EpisodeForfeit):
        raise await endpoint.blamed(result)
    actions = decode_trace(result.trace)
    step = secrets.randbelow(len(actions))
    played = await play(spec, actions, step, stage)
    return Probed(Sampled(NOBODY, spec.env, spec.index, step), played.observations, played.action_spec)
