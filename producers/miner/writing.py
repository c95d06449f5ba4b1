"""What is to be committed, judged by the very parser that will read it. Pure."""

from __future__ import annotations

from uuid import UUID

from events.cli import Misused
from events.sealed import seal
from producers.discovery.commitments import (
    Rejection,
    commitment_text,
    parse_commitment,
    sealed_commitment_text,
)

HOW_TO_SEAL = "the operator publishes it, as `kinitro crypto show-public-key` prints it: 64 hex digits"


def text_to_commit(repo: str, revision: str, deployment: str, public_key: str | None) -> str:
    """The commitment; with `public_key`, of the backend, as hex, only the backend can read the deployment in it.

    Raises:
        Misused: the backend would reject it, or the deployment cannot be sealed.
    """
    if public_key is None:
        text = commitment_text(repo, revision, deployment)
    else:
        text = sealed_commitment_text(repo, revision, _sealed(deployment, public_key))
    judged = parse_commitment(text.encode(), block=0)
    if isinstance(judged, Rejection):
        raise Misused(f"the backend would reject this commitment ({judged.code}): {judged.detail}")
    return text


def _sealed(deployment: str, public_key: str) -> str:
    try:
        uuid = UUID(deployment)
    except ValueError as error:
        raise Misused(
            f"--deployment {deployment:.60} is not a UUID, and only one can be encrypted: its 16 bytes are all that"
            " has room; name the deployment's id, or commit in the clear without --encrypt-for"
        ) from error
    try:
        public = bytes.fromhex(public_key.removeprefix("0x"))
        return seal(uuid, public)
    except ValueError as error:
        raise Misused(
            f"--encrypt-for {public_key:.70} is no public key of a backend ({error}): {HOW_TO_SEAL}"
        ) from error
