"""Who is checked in a cycle, and with which observations. Pure, and documented byte for byte, as `events.seeds` is.

    material = secret:32 block_hash:32 cycle:8
    miner    = uid:8, length of hotkey:2, hotkey
    frame    = length of env:2, env, index:8, uid of the episode's miner:8

    draw of a miner    = first 8 bytes, as a big-endian unsigned integer, of
                         SHA-256(`kinitro/verification-draw/1` 00 material miner)
    rank of an episode = SHA-256(`kinitro/verification-episode/1` 00 material miner frame)
    step of an episode = first 8 bytes, as above, of SHA-256(`kinitro/verification-step/1` 00 material miner frame)
                         modulo the steps that were recorded
    rank of a witness  = SHA-256(`kinitro/verification-witness/1` 00 material miner uid:8 of the witness)
    seed of a comparison = first 8 bytes, as above, of SHA-256(`kinitro/verification-comparison/1` 00 material miner)

A miner is checked where its draw is below `rate` x 2^64, rounded down, or where it stands suspended. Its probes are
taken in ascending order of rank, one of its own episodes and one of another miner's in turn, until there are no more
of either. Nobody knows the secret before the cycle is sealed, so nobody knows who is checked; afterwards everybody
can tell whether the draw was kept to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from heapq import nsmallest
from itertools import chain, zip_longest

from events.cycles import CyclePlanned
from events.ids import EnvId, Hotkey, Uid
from events.seeds import SeedMaterial

_DRAW = b"kinitro/verification-draw/1\x00"
_EPISODE = b"kinitro/verification-episode/1\x00"
_STEP = b"kinitro/verification-step/1\x00"
_WITNESS = b"kinitro/verification-witness/1\x00"
_COMPARISON = b"kinitro/verification-comparison/1\x00"

WITNESSES_MAX = 3
PROBES_PER_SAMPLE = 4
"""So many probes are named for each sample, because recordings go when they are old."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A miner that could be checked."""

    uid: Uid
    hotkey: Hotkey


@dataclass(frozen=True, slots=True, order=True)
class Recording:
    """An episode of the cycle whose observations were recorded, from the first one after the reset on."""

    env: EnvId
    index: int
    uid: Uid
    """Whose episode it was: the checked miner's, or another's."""
    steps: int
    """How many observations there are: 1 or more."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"recording of {self.env} #{self.index}: expected 1 step or more, got {self.steps}")


@dataclass(frozen=True, slots=True)
class Probe:
    """The recording is played from its reset on, and the action at `step` (from 0) is compared."""

    recording: Recording
    step: int


def is_drawn(material: SeedMaterial, candidate: Candidate, rate: Decimal) -> bool:
    """Whether this miner is checked in this cycle. `rate`: 0 to 1."""
    return _number(_hash(_DRAW, material, candidate)) < Fraction(rate) * 2**64 // 1


def drawn(material: SeedMaterial, candidates: Iterable[Candidate], rate: Decimal) -> tuple[Candidate, ...]:
    """Who is checked, by uid. Each is drawn for itself: who else is there changes nothing."""
    return tuple(sorted((each for each in candidates if is_drawn(material, each, rate)), key=lambda each: each.uid))


def to_be_checked(plan: CyclePlanned, material: SeedMaterial) -> tuple[Candidate, ...]:
    """The miners of the plan that are drawn, and those that are suspended, by uid."""
    terms = plan.verification
    if terms is None:
        return ()
    suspended = {each.uid for each in terms.suspended}
    candidates = sorted((Candidate(it.uid, it.hotkey) for it in plan.roster), key=lambda each: each.uid)
    return tuple(it for it in candidates if it.uid in suspended or is_drawn(material, it, terms.rate))


def probes(
    material: SeedMaterial, candidate: Candidate, recordings: Iterable[Recording], count: int
) -> tuple[Probe, ...]:
    """Up to `count` probes of this miner, each from another recording, in the order in which they are taken."""
    if count < 1:
        raise ValueError(f"verification probes: expected 1 or more, got {count}")
    distinct = set(recordings)
    own = [each for each in distinct if each.uid == candidate.uid]
    others = [each for each in distinct if each.uid != candidate.uid]

    def first(some: Iterable[Recording]) -> list[Recording]:
        return nsmallest(count, some, key=lambda each: (_hash(_EPISODE, material, candidate, _frame(each)), each))

    in_turn = chain.from_iterable(zip_longest(first(own), first(others)))
    chosen = [each for each in in_turn if each is not None][:count]
    return tuple(Probe(each, _step(material, candidate, each)) for each in chosen)


def witnesses(material: SeedMaterial, candidate: Candidate, uids: Iterable[Uid]) -> tuple[Uid, ...]:
    """Up to `WITNESSES_MAX` other miners of these, in the order of their rank: can anybody be reached?"""
    others = (uid for uid in uids if uid != candidate.uid)
    return tuple(nsmallest(WITNESSES_MAX, others, key=lambda uid: _hash(_WITNESS, material, candidate, _uint64(uid))))


def comparison_seed(material: SeedMaterial, candidate: Candidate) -> int:
    """Of whatever is drawn where distributions are compared: 0 to 2^64 - 1."""
    return _number(_hash(_COMPARISON, material, candidate))


def _step(material: SeedMaterial, candidate: Candidate, recording: Recording) -> int:
    return _number(_hash(_STEP, material, candidate, _frame(recording))) % recording.steps


def _hash(domain: bytes, material: SeedMaterial, candidate: Candidate, rest: bytes = b"") -> bytes:
    begin = domain + material.secret + material.block_hash + _uint64(material.cycle)
    return hashlib.sha256(begin + _uint64(candidate.uid) + _text(candidate.hotkey) + rest).digest()


def _frame(recording: Recording) -> bytes:
    return _text(recording.env) + _uint64(recording.index) + _uint64(recording.uid)


def _number(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big")


def _text(text: str) -> bytes:
    ascii_bytes = text.encode("ascii")
    return len(ascii_bytes).to_bytes(2, "big") + ascii_bytes


def _uint64(number: int) -> bytes:
    return number.to_bytes(8, "big")
