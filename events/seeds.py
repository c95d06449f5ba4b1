"""Secrets and seeds of a cycle. Pure, and documented byte for byte, so that an outsider derives the same.

    secret     = HMAC-SHA256(key = master key, `kinitro/cycle-secret/1` 00 cycle:8)
    commitment = SHA-256(secret)
    material   = secret:32 block_hash:32 cycle:8
    episode    = length of env:2, env, index:8

    seed of an episode = first 8 bytes, as a big-endian unsigned integer, of
                         SHA-256(`kinitro/episode-seed/1` 00 material episode)
    rank of an episode = SHA-256(`kinitro/episode-rank/1` 00 material episode)
    rank of a miner    = SHA-256(`kinitro/miner-rank/1` 00 material episode uid:8)

`name:n` is n bytes, integers big-endian and unsigned; text is ASCII; 00 is one zero byte. Each input can be read in
one way only: the names hold no zero byte, and all else has a fixed length or is preceded by it. The uid is in no
seed: all miners meet the same episodes.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from events.ids import CycleId, EnvId, Seed, Uid

_SECRET = b"kinitro/cycle-secret/1\x00"
_SEED = b"kinitro/episode-seed/1\x00"
_EPISODE_RANK = b"kinitro/episode-rank/1\x00"
_MINER_RANK = b"kinitro/miner-rank/1\x00"


def cycle_secret(master_key: bytes, cycle: CycleId) -> bytes:
    """The 32 bytes that the plan commits to and the seal reveals. A restart has them again."""
    return hmac.digest(master_key, _SECRET + _uint64(cycle), "sha256")


def commitment_to(secret: bytes) -> str:
    """What `CyclePlanned.secret_commitment` says of this secret, as hex."""
    return hashlib.sha256(secret).hexdigest()


@dataclass(frozen=True)
class SeedMaterial:
    """All that decides the seeds and the order of a cycle's episodes."""

    secret: bytes
    """32 bytes."""
    block_hash: bytes
    """32 bytes: of `CycleSeeded`."""
    cycle: CycleId

    def __post_init__(self) -> None:
        for name, value in (("secret", self.secret), ("block hash", self.block_hash)):
            if len(value) != 32:
                raise ValueError(f"the {name} has {len(value)} bytes, expected 32")

    def seed(self, env: EnvId, index: int) -> Seed:
        """The seed of episode `index` on `env`, the same for all miners: 0 to 2^64 - 1."""
        return Seed(int.from_bytes(self._hash(_SEED, _episode(env, index))[:8], "big"))

    def episode_rank(self, env: EnvId, index: int) -> bytes:
        """Episodes are run in ascending order of it."""
        return self._hash(_EPISODE_RANK, _episode(env, index))

    def miner_rank(self, env: EnvId, index: int, uid: Uid) -> bytes:
        """Within one episode, miners are called in ascending order of it."""
        return self._hash(_MINER_RANK, _episode(env, index) + _uint64(uid))

    def _hash(self, domain: bytes, rest: bytes) -> bytes:
        return hashlib.sha256(domain + self.secret + self.block_hash + _uint64(self.cycle) + rest).digest()


def _episode(env: EnvId, index: int) -> bytes:
    name = env.encode("ascii")
    return len(name).to_bytes(2, "big") + name + _uint64(index)


def _uint64(number: int) -> bytes:
    return number.to_bytes(8, "big")
