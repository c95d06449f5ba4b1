"""One check: the committed code in a sandbox, the endpoint over HTTP, the same observations for both.

The consumer and `kinitro verify` share it. The code is asked first: where it is no policy, nobody is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from consumers.verification.committed import CommittedActions, committed_actions
from consumers.verification.committed_code import CodeFailed, SandboxBroken
from consumers.verification.evaluated import OwnSample
from consumers.verification.limits import REPEATS_BY_DISTRIBUTION
from consumers.verification.probes import Probed, acts
from consumers.verification.sandbox.protocol import Sandbox
from consumers.verification.served import Endpoint, EndpointFailed, OurNetwork
from consumers.verification.terms import CheckTerms
from consumers.verification.verdict import Failed, Finding, Inconclusive, compared_actions, found
from events.verification import FailureReason, InconclusiveReason

Tell = Callable[[str], None]
"""Is told what is done next."""


async def check(
    sandbox: Sandbox,
    code_dir: Path,
    endpoint: Endpoint,
    probes: Sequence[Probed],
    terms: CheckTerms,
    tell: Tell = lambda _: None,
) -> Finding:
    """Whether the endpoint acts as the code in `code_dir`, on these probes.

    Raises:
        SimulationFailed: this machine has no socket left.
    """
    try:
        tell(f"asking the committed code in the sandbox ({sandbox.name}) for {acts(probes)} actions, twice")
        committed = await committed_actions(sandbox, code_dir, probes, terms)
        return await _against(committed, endpoint, terms, tell)
    except CodeFailed as failed:
        return Failed(FailureReason.CODE_FAILED, str(failed))
    except SandboxBroken as broken:
        return Inconclusive(InconclusiveReason.SANDBOX_FAILED, str(broken))
    except EndpointFailed as failed:
        return Failed(FailureReason.ENDPOINT_FAILED, str(failed))
    except OurNetwork as ours:
        return Inconclusive(InconclusiveReason.OUR_NETWORK, str(ours))


async def _against(committed: CommittedActions, endpoint: Endpoint, terms: CheckTerms, tell: Tell) -> Finding:
    repeats = REPEATS_BY_DISTRIBUTION if committed.by_distribution else 1
    if committed.by_distribution:
        tell(f"it does not repeat itself: {repeats} repeats of {len(committed.probes)} samples are compared")
    tell(f"asking the endpoint for {repeats * acts(committed.probes)} actions")
    served = await endpoint.runs(committed.probes, terms, repeats)
    samples = [
        (probe.sample, OwnSample(probe.evaluation, otherwise) if probe.evaluation else None)
        for probe, otherwise in zip(committed.probes, committed.otherwise, strict=True)
    ]
    compared = compared_actions(
        samples,
        committed.runs,
        served,
        tolerance=terms.tolerance,
        measure=terms.measure,
        seed=terms.seed,
        seeded=committed.seeded,
    )
    return found(compared, terms.tolerance)
