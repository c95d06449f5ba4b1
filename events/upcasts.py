"""From the `data` of an old event to that of its next version. What is in the log is read for ever.

Named after the version that they read. Each takes and returns plain JSON values, and leaves its argument as it is.
"""

from __future__ import annotations

from typing import Any

from events.variation import NO_VARIATION, variation_digest
from events.verification import Measure

Data = dict[str, Any]


def plan_1(data: Data) -> Data:
    """Before there was variation beyond placement, and a limit to forfeits in a row."""
    terms = {**data["terms"], "forfeits_in_row_max": None, "variation": NO_VARIATION.model_dump()}
    return {**data, "terms": terms}


def plan_2(data: Data) -> Data:
    """All endpoints were in the clear."""
    return {**data, "roster": [in_the_clear(entry) for entry in data["roster"]]}


def plan_3(data: Data) -> Data:
    """There were only roster files."""
    return {**data, "chain": None}


def plan_4(data: Data) -> Data:
    """Nobody was checked."""
    return {**data, "verification": None}


def plan_5(data: Data) -> Data:
    """An action was measured as a whole."""
    terms = data["verification"]
    return {**data, "verification": terms and {**terms, "measure": Measure.WHOLE_ACTION.value}}


def attempt_failed_1(data: Data) -> Data:
    """An attempt that was handed back counted as lost."""
    return data


def in_the_clear(data: Data) -> Data:
    """A commitment of before endpoints could be sealed: a miner's event of version 1, or an entry of a roster."""
    return {**data, "commitment": {**data["commitment"], "sealed_endpoint": None}}


def completed_1(data: Data) -> Data:
    """Variation was in the clear, and nobody noted where an episode ran."""
    data = dict(data)
    evidence = {
        "action_digest": data.pop("action_digest"),
        "final_state_digest": data.pop("final_state_digest"),
        "variation_digest": variation_digest(data.pop("variation")),
        "versions": {},
        "machine": "",
    }
    return {**data, "evidence": evidence}


def forfeited_1(data: Data) -> Data:
    """Forfeits had no evidence."""
    return {**data, "evidence": None}
