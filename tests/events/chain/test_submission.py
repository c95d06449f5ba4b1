"""What an answer to a submission says of its fate."""

from __future__ import annotations

import bittensor as bt
import pytest

from events.chain.submission import NEVER_TAKEN, Fate, told


def answered(name: str | None, extrinsic_id: str | None = None) -> Fate:
    error = bt.ChainError("it went wrong", name=name)
    return told(
        bt.ExtrinsicResult(success=False, message="it went wrong", extrinsic_id=extrinsic_id, error=error)
    ).fate


@pytest.mark.parametrize("name", sorted(NEVER_TAKEN))
def test_what_no_pool_takes_is_refused(name: str) -> None:
    assert answered(name) is Fate.REFUSED


def test_what_failed_in_its_block_is_refused() -> None:
    assert answered("AccountNotAllowedCommit", "1002-0000") is Fate.REFUSED


@pytest.mark.parametrize(
    "name",
    [
        "AlreadyImported",
        "Dropped",
        "FinalityTimeout",
        "Invalid",
        "PriorityTooLow",
        "Retracted",
        "Stale",
        "Usurped",
        None,
    ],
)
def test_what_may_have_been_taken_is_unknown(name: str | None) -> None:
    assert answered(name) is Fate.UNKNOWN


def test_success_is_final() -> None:
    assert told(bt.ExtrinsicResult(success=True)).fate is Fate.FINALIZED
