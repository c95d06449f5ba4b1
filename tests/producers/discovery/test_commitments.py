"""What deployed miners write is read; everything else is rejected for a reason that the miner can act on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.event import TEXT_MAX
from events.miners import Commitment, CommitmentRejection
from events.sealed import EndpointKey, seal
from producers.discovery.commitments import (
    Rejection,
    commitment_text,
    endpoint_of,
    no_text,
    parse_commitment,
    sealed_commitment_text,
    sealed_digest,
    why_not_opened,
)

KEY = EndpointKey(bytes(range(32)))
OTHER = EndpointKey(bytes(range(1, 33)))
DEPLOYMENT = UUID("95edf2b6-e18b-400a-8398-5573df10e5e4")
URL = f"https://{DEPLOYMENT}.deployments.basilica.ai"
SEALED = seal(DEPLOYMENT, KEY.public)
SEALED_TEXT = sealed_commitment_text("user/policy", "0123abcd", SEALED)

NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9]|[._-][A-Za-z0-9])*", fullmatch=True)


def accepted(raw: bytes) -> Commitment:
    commitment = parse_commitment(raw, 7)
    assert isinstance(commitment, Commitment), commitment
    return commitment


def rejected(raw: bytes) -> Rejection:
    rejection = parse_commitment(raw, 7)
    assert isinstance(rejection, Rejection), rejection
    return rejection


@pytest.mark.parametrize(
    ("deployment", "endpoint"),
    [
        (str(DEPLOYMENT), URL),
        ("a", "https://a.deployments.basilica.ai"),
        ("e", "https://e.deployments.basilica.ai"),
        ("https://policy.example", "https://policy.example"),
        ("http://192.0.2.1:9000/base/", "http://192.0.2.1:9000/base"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_a_deployment_in_the_clear(deployment: str, endpoint: str) -> None:
    raw = commitment_text("user/my-policy_2.0", "0123abcd", deployment).encode()
    expected = Commitment(repo="user/my-policy_2.0", revision="0123abcd", endpoint=endpoint, block=7)
    assert accepted(raw) == expected
    assert endpoint_of(expected, None) == endpoint_of(expected, KEY) == endpoint


def test_a_sealed_deployment() -> None:
    commitment = accepted(SEALED_TEXT.encode())
    expected = Commitment(repo="user/policy", revision="0123abcd", endpoint=None, sealed_endpoint=SEALED, block=7)
    assert commitment == expected
    assert endpoint_of(commitment, KEY) == URL
    assert endpoint_of(commitment, None) is None
    assert endpoint_of(commitment, OTHER) is None


def test_a_sealed_commitment_fits_with_a_repository_of_36_characters() -> None:
    repo = "user/" + "x" * 31
    assert accepted(sealed_commitment_text(repo, "0123abcd", SEALED).encode()).repo == repo
    assert rejected(sealed_commitment_text(repo + "x", "0123abcd", SEALED).encode()).code == "too_long"


@pytest.mark.parametrize(
    ("raw", "code", "told"),
    [
        (b"", "no_text", "is empty; commit user/repo:revision:deployment"),
        (b"u/r:0123abcd:" + b"x" * 116, "too_long", "has 129 bytes, at most 128"),
        (b"u/r:0123abcd:dep loyment", "not_ascii", "byte 17 of the commitment is 0x20"),
        (b"u/r:0123abcd:x\n", "not_ascii", "byte 15 of the commitment is 0x0a"),
        (b"\x00u/r:0123abcd:x", "not_ascii", "byte 1 of the commitment is 0x00"),
        ("u/r:0123abcd:é".encode(), "not_ascii", "0xc3"),
        (b"u/r:0123abcd:\xff", "not_ascii", "0xff"),
        (b"95edf2b6-e18b-400a-8398-5573df10e5e4", "malformed", "has 1 of 3 parts"),
        (b"u/r:0123abcd", "malformed", "has 2 of 3 parts"),
        (b'{"repo":"u/r"}', "malformed", "2 of 3 parts"),
        (b"r:0123abcd:x", "bad_repo", "repository r is not user/name"),
        (b"/r:0123abcd:x", "bad_repo", "not user/name"),
        (b"u/:0123abcd:x", "bad_repo", "not user/name"),
        (b"u/r/s:0123abcd:x", "bad_repo", "not user/name"),
        (b"u/..:0123abcd:x", "bad_repo", "not user/name"),
        (b"u/a..b:0123abcd:x", "bad_repo", "not user/name"),
        (b"u/a--b:0123abcd:x", "bad_repo", "not user/name"),
        (b"u/-r:0123abcd:x", "bad_repo", "not user/name"),
        (b"u/r.:0123abcd:x", "bad_repo", "not user/name"),
        (b"u/r.git:0123abcd:x", "bad_repo", "not ending in .git"),
        (b"u/r@main:0123abcd:x", "bad_repo", "not user/name"),
        (b"u/%2e%2e:0123abcd:x", "bad_repo", "not user/name"),
        (b"u/" + b"r" * 95 + b":0123abcd:x", "bad_repo", "at most 96"),
        (b"u/r::x", "bad_revision", "not 8 to 40"),
        (b"u/r:main:x", "bad_revision", "revision main is not 8 to 40 lower-case hex digits"),
        (b"u/r:0123abc:x", "bad_revision", "not 8 to 40"),
        (b"u/r:0123ABCD:x", "bad_revision", "lower-case"),
        (b"u/r:" + b"a" * 41 + b":x", "bad_revision", "not 8 to 40"),
        (b"u/r:0123abcd:", "bad_deployment", "not an id"),
        (b"u/r:0123abcd:-x", "bad_deployment", "not an id"),
        (b"u/r:0123abcd:x.evil.example/#", "bad_deployment", "not an id"),
        (b"u/r:0123abcd:x@evil.example", "bad_deployment", "not an id"),
        (b"u/r:0123abcd:x:8000", "bad_deployment", "not an id"),
        (b"u/r:0123abcd:" + b"x" * 64, "bad_deployment", "1 to 63"),
        (b"u/r:0123abcd:ftp://host", "bad_deployment", "not an http"),
        (b"u/r:0123abcd:http://", "bad_deployment", "not an http"),
        (b"u/r:0123abcd:http://h:0", "bad_deployment", "not an http"),
        (b"u/r:0123abcd:http://h:x", "bad_deployment", "not a URL"),
        (b"u/r:0123abcd:http://user:pass@h", "bad_deployment", "credentials"),
        (b"u/r:0123abcd:http://h/?q=1", "bad_deployment", "remove query"),
        (b"u/r:0123abcd:e:", "bad_seal", "has 0 characters, expected 80"),
        (b"u/r:0123abcd:e:" + b"0" * 79, "bad_seal", "has 79 characters"),
        (b"u/r:0123abcd:e:" + b'"' * 80, "bad_seal", "not base85"),
        (b"u/r:0123abcd:e:" + b"~" * 80, "bad_seal", "not base85"),
    ],
)
def test_what_is_rejected_says_why(raw: bytes, code: str, told: str) -> None:
    rejection = rejected(raw)
    assert (rejection.code, rejection.block) == (code, 7)
    assert rejection.digest == hashlib.sha256(raw).hexdigest()
    assert told in rejection.detail


def test_every_reason_is_reached() -> None:
    (table,) = (mark for mark in test_what_is_rejected_says_why.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    assert {code for _, code, _ in table.args[1]} | {"cannot_open"} == set(CommitmentRejection)


@given(st.binary(max_size=300) | st.text(max_size=140).map(str.encode))
def test_any_bytes_are_read_or_rejected_in_printable_words(raw: bytes) -> None:
    parsed = parse_commitment(raw, 7)
    if isinstance(parsed, Rejection):
        assert parsed.detail.isascii()
        assert parsed.detail.isprintable()
        assert len(parsed.detail) <= TEXT_MAX


@given(
    user=NAMES,
    name=NAMES.filter(lambda name: not name.endswith(".git")),
    revision=st.text("0123456789abcdef", min_size=8, max_size=40),
    deployment=st.uuids(),
)
def test_what_fits_is_accepted(user: str, name: str, revision: str, deployment: UUID) -> None:
    repo = f"{user}/{name}"
    raw = commitment_text(repo, revision, str(deployment)).encode()
    if len(raw) <= 128 and len(repo) <= 96:
        assert (accepted(raw).repo, accepted(raw).revision) == (repo, revision)
    else:
        assert rejected(raw).code in ("too_long", "bad_repo")


def test_a_sealed_endpoint_that_the_key_does_not_open_is_rejected() -> None:
    commitment = accepted(SEALED_TEXT.encode())
    rejection = why_not_opened(commitment, OTHER)
    assert rejection is not None
    assert (rejection.code, rejection.block) == (CommitmentRejection.CANNOT_OPEN, 7)
    assert rejection.digest == sealed_digest(commitment) == hashlib.sha256(SEALED_TEXT.encode()).hexdigest()
    assert OTHER.public.hex() in rejection.detail
    assert why_not_opened(commitment, KEY) is None


def test_what_holds_no_text_is_told_apart() -> None:
    one, other = no_text("a time-locked value", 7, b"1"), no_text("a time-locked value", 7, b"2")
    assert one.code == "no_text"
    assert "no text but a time-locked value" in one.detail
    assert one.digest != other.digest


def test_miners_can_look_every_code_up() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    assert [code for code in CommitmentRejection if f"| `{code}` |" not in readme] == []
