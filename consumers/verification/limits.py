"""What committed code and an endpoint may take in a check. docs/verification.md tells miners the same numbers."""

from __future__ import annotations

from consumers.verification.distribution import REPEATS_MIN
from consumers.verification.sandbox.protocol import Limits

CODE_START_S = 60.0
"""To import `policy` and to call `make_policy`."""
CODE_ANSWER_S = 10.0
"""For one answer."""
CODE_MEAN_S, CODE_SLACK_S = 0.1, 10.0
"""For the actions of one run through all samples: so long each on average, and so long once."""
CODE_LATER_FACTOR = 4.0
"""But after the first run no more than so many times what that took, and the slack once: who is quick at first, and
is therefore compared on more samples, does not delay a check away later."""
CODE_PROCESSORS = 4
"""Processor time is limited to so many times the time that the check may take."""
CODE_MEMORY_BYTES = 4 << 30
CODE_SCRATCH_BYTES = 64 << 20
CODE_PROCESSES = 64
CODE_ANSWER_BYTES = 1 << 20

ENDPOINT_ACT_FACTOR, ENDPOINT_ACT_MIN_MS = 10.0, 5000.0
"""One act has so many times its deadline, and this at least: speed is not what is checked."""
ENDPOINT_MEAN_FACTOR, ENDPOINT_SLACK_S = 2.0, 30.0
"""But all acts together have twice their deadline on average, and so long once: nobody delays a check away."""
ENDPOINT_RETRY_S = 60.0
"""How long an endpoint that gives no valid action is asked again, in a whole check."""

REPEATS_BY_VALUE = 2
"""Of the committed code, to see whether it repeats itself. The endpoint is asked once."""
REPEATS_BY_DISTRIBUTION = REPEATS_MIN
"""Of both sides."""

DELIVERIES_MAX = 20
"""How often a check is taken up that leaves no outcome, such as one with which its verifier dies every time. Lost
leases and stops count too, so there are many; what is taken up again after that is for somebody to look at."""


def sandbox_limits(within_s: float) -> Limits:
    """For a check that may take so long."""
    return Limits(
        start_s=CODE_START_S,
        answer_s=CODE_ANSWER_S,
        total_s=within_s,
        cpu_s=CODE_PROCESSORS * within_s,
        memory_bytes=CODE_MEMORY_BYTES,
        scratch_bytes=CODE_SCRATCH_BYTES,
        processes=CODE_PROCESSES,
        answer_bytes=CODE_ANSWER_BYTES,
    )


def code_allowance_s(acts: int) -> float:
    """For so many actions together."""
    return CODE_SLACK_S + CODE_MEAN_S * acts


def endpoint_allowance_s(acts: int, act_deadline_ms: float) -> float:
    """For so many actions together."""
    return ENDPOINT_SLACK_S + ENDPOINT_MEAN_FACTOR * act_deadline_ms / 1000 * acts


def endpoint_act_ms(act_deadline_ms: float) -> float:
    """For one action."""
    return max(ENDPOINT_ACT_FACTOR * act_deadline_ms, ENDPOINT_ACT_MIN_MS)


def endpoint_reset_ms(reset_deadline_ms: float, act_deadline_ms: float) -> float:
    """For one reset."""
    return max(reset_deadline_ms, endpoint_act_ms(act_deadline_ms))
