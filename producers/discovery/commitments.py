"""What miners commit on the chain, as text of at most 128 bytes. Pure.

    user/repo:revision:deployment       in the clear
    user/repo:revision:e:SEALED         the deployment's UUID, sealed for the backend (`events/sealed.py`)

`revision` is the beginning of a commit's hash, 8 hex digits or more. `deployment` is the base URL of a policy server,
or the id of a Basilica deployment, which stands for `https://ID.deployments.basilica.ai`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from uuid import UUID

from events.event import Hex256
from events.miners import Commitment, CommitmentRejection
from events.sealed import CannotOpen, EndpointKey, NotSealed, split_sealed
from producers.discovery.base_url import base_url

BYTES_MAX = 128
FORM = "user/repo:revision:deployment"
DEPLOYMENT_URL = "https://{id}.deployments.basilica.ai"

_PRINTABLE = re.compile(rb"[!-~]*")
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_REVISION = re.compile(r"[0-9a-f]{8,40}")
_DEPLOYMENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
"""A label of a host name (RFC 1123)."""
REPO_CHARS_MAX = 96
"""Of user, slash and name, as Hugging Face has it."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A commitment that is not accepted: why, and which one it was."""

    code: CommitmentRejection
    detail: str
    """At most `TEXT_MAX` characters, printable: the chain's bytes are anybody's."""
    block: int
    """Of the commitment."""
    digest: Hex256
    """SHA-256 of its bytes."""


class _Refused(Exception):
    def __init__(self, code: CommitmentRejection, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(detail)


def parse_commitment(raw: bytes, block: int) -> Commitment | Rejection:
    """The commitment in these bytes of the chain, made at this block; or why it is none."""
    try:
        return _commitment(_text(raw), block)
    except _Refused as refused:
        return Rejection(refused.code, refused.detail, block, hashlib.sha256(raw).hexdigest())


def no_text(found: str, block: int, raw: bytes = b"") -> Rejection:
    """The rejection of what holds no text: `found` says what it holds, `raw` tells it from others of the kind."""
    detail = f"the commitment holds no text but {found:.100}; commit {FORM} as raw bytes"
    return Rejection(CommitmentRejection.NO_TEXT, detail, block, hashlib.sha256(raw).hexdigest())


def commitment_text(repo: str, revision: str, deployment: str) -> str:
    """What is to be written on the chain for a deployment in the clear."""
    return f"{repo}:{revision}:{deployment}"


def sealed_commitment_text(repo: str, revision: str, sealed: str) -> str:
    """What is to be written on the chain for a sealed endpoint."""
    return f"{repo}:{revision}:e:{sealed}"


def deployment_url(deployment: str | UUID) -> str:
    """Where the deployment with this id is served."""
    return DEPLOYMENT_URL.format(id=deployment)


def endpoint_of(commitment: Commitment, key: EndpointKey | None) -> str | None:
    """Base URL of the policy server; None where it is sealed and this key does not open it.

    What was sealed is a secret: it may be put in a task, and nowhere else.
    """
    if commitment.sealed_endpoint is None or key is None:
        return commitment.endpoint
    try:
        return deployment_url(key.open(commitment.sealed_endpoint))
    except (CannotOpen, NotSealed):
        return None


def why_not_opened(commitment: Commitment, key: EndpointKey) -> Rejection | None:
    """Why a commitment is rejected although its text is well formed; None if it is not."""
    if commitment.sealed_endpoint is None:
        return None
    try:
        key.open(commitment.sealed_endpoint)
    except (CannotOpen, NotSealed) as error:
        return Rejection(CommitmentRejection.CANNOT_OPEN, str(error), commitment.block, sealed_digest(commitment))
    return None


def sealed_digest(commitment: Commitment) -> Hex256:
    """SHA-256 of the bytes on the chain from which a commitment with a sealed endpoint was parsed."""
    assert commitment.sealed_endpoint is not None
    text = sealed_commitment_text(commitment.repo, commitment.revision, commitment.sealed_endpoint)
    return hashlib.sha256(text.encode()).hexdigest()


def _text(raw: bytes) -> str:
    if not raw:
        raise _Refused(CommitmentRejection.NO_TEXT, f"the commitment is empty; commit {FORM}")
    if len(raw) > BYTES_MAX:
        raise _Refused(
            CommitmentRejection.TOO_LONG,
            f"the commitment has {len(raw)} bytes, at most {BYTES_MAX} are allowed; use a shorter repository name",
        )
    match = _PRINTABLE.match(raw)
    assert match is not None
    if match.end() < len(raw):
        raise _Refused(
            CommitmentRejection.NOT_ASCII,
            f"byte {match.end() + 1} of the commitment is 0x{raw[match.end()]:02x}: only printable ASCII without"
            f" spaces is allowed; commit {FORM}",
        )
    return raw.decode("ascii")


def _commitment(text: str, block: int) -> Commitment:
    parts = text.split(":", 2)
    if len(parts) != 3:
        raise _Refused(
            CommitmentRejection.MALFORMED,
            f"the commitment {text:.60} has {len(parts)} of 3 parts separated by colons; commit {FORM}",
        )
    repo, revision, deployment = parts
    _check_repo(repo)
    if not _REVISION.fullmatch(revision):
        raise _Refused(
            CommitmentRejection.BAD_REVISION,
            f"revision {revision:.60} is not 8 to 40 lower-case hex digits; name the commit by the first 8 of its"
            " hash, not a branch or tag, which move",
        )
    if deployment.startswith("e:"):
        sealed = _sealed(deployment.removeprefix("e:"))
        return Commitment(repo=repo, revision=revision, endpoint=None, sealed_endpoint=sealed, block=block)
    return Commitment(repo=repo, revision=revision, endpoint=_endpoint(deployment), block=block)


def _check_repo(repo: str) -> None:
    user, slash, name = repo.partition("/")
    well_formed = slash and _NAME.fullmatch(user) and _NAME.fullmatch(name)
    if not well_formed or "--" in repo or ".." in repo or name.endswith(".git") or len(repo) > REPO_CHARS_MAX:
        raise _Refused(
            CommitmentRejection.BAD_REPO,
            f"repository {repo:.60} is not user/name as Hugging Face allows it: letters, digits, '-', '_' and '.',"
            " neither '--' nor '..', no '-' or '.' at an end, not ending in .git;"
            f" at most {REPO_CHARS_MAX} characters",
        )


def _endpoint(deployment: str) -> str:
    if "://" not in deployment:
        if _DEPLOYMENT.fullmatch(deployment):
            return deployment_url(deployment)
        reason = "not an id: 1 to 63 letters, digits and '-', which is at neither end"
    else:
        try:
            return base_url(deployment).rstrip("/")
        except ValueError as error:
            reason = str(error)
    raise _Refused(
        CommitmentRejection.BAD_DEPLOYMENT,
        f"deployment {deployment:.60} is {reason}; commit a deployment's id, or the http(s) URL of a policy server",
    )


def _sealed(text: str) -> str:
    try:
        split_sealed(text)
    except NotSealed as error:
        raise _Refused(
            CommitmentRejection.BAD_SEAL, f"{error}; make it anew with the backend's public key"
        ) from error
    return text
