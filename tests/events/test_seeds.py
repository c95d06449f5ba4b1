"""Seeds: fixed vectors, the documented bytes, and that no two inputs meet."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.ids import CycleId, EnvId, Uid
from events.seeds import SeedMaterial, commitment_to, cycle_secret
from tests.controls.facts import PUSH, REACH

KEY = bytes(range(32))
SECRET = cycle_secret(KEY, CycleId(42))
BLOCK_HASH = hashlib.sha256(b"block").digest()
MATERIAL = SeedMaterial(SECRET, BLOCK_HASH, CycleId(42))

TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=12)
ENVS = st.builds(lambda family, task: EnvId(f"{family}/{task}"), TOKENS, TOKENS)
EPISODES = st.tuples(ENVS, st.integers(0, 2**64 - 1))


def test_vector_of_the_secret() -> None:
    assert SECRET.hex() == "6a87a651d21ba626c9d013a24e0b6ec7c870d15f8f5cf96cb75b2181e0df5ffe"


def test_vector_of_the_commitment() -> None:
    assert commitment_to(SECRET) == "4ba809042c4028793b49fc0ae182e2fed9f47302a809389d3fd4af05c1d69cd6"


@pytest.mark.parametrize(
    ("env", "index", "seed"),
    [(REACH, 0, 2726699613886709296), (REACH, 1, 14607895760034620100), (PUSH, 0, 2076026341455872429)],
)
def test_vectors_of_seeds(env: EnvId, index: int, seed: int) -> None:
    assert MATERIAL.seed(env, index) == seed


def test_vectors_of_ranks() -> None:
    assert MATERIAL.episode_rank(REACH, 0).hex() == "7349b4a3e04ce33fd3f0cfbfb1e305c91935c30b3f4f61a5639b883454dddb89"
    assert (
        MATERIAL.miner_rank(REACH, 0, Uid(7)).hex()
        == "47bbc09c7be5538aba1a7307a2c5649b7ac9c9cc987395a4e1739f8f02ceaeab"
    )


def test_a_secret_is_the_documented_hmac() -> None:
    message = b"kinitro/cycle-secret/1\x00" + (42).to_bytes(8, "big")
    assert hmac.new(KEY, message, hashlib.sha256).digest() == SECRET


def test_a_seed_is_the_documented_hash() -> None:
    parts = [
        b"kinitro/episode-seed/1\x00",
        SECRET,
        BLOCK_HASH,
        (42).to_bytes(8, "big"),
        len(PUSH).to_bytes(2, "big"),
        PUSH.encode(),
        (3).to_bytes(8, "big"),
    ]
    assert MATERIAL.seed(PUSH, 3) == int.from_bytes(hashlib.sha256(b"".join(parts)).digest()[:8], "big")


@given(EPISODES, EPISODES)
def test_different_episodes_have_different_seeds(one: tuple[EnvId, int], other: tuple[EnvId, int]) -> None:
    assert (MATERIAL.seed(*one) == MATERIAL.seed(*other)) == (one == other)


def test_no_seed_of_a_large_cycle_comes_twice() -> None:
    envs = [EnvId(f"metaworld/task-{number}") for number in range(50)]
    seeds = {MATERIAL.seed(env, index) for env in envs for index in range(400)}
    assert len(seeds) == 20_000


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.integers(1, 2**63))
def test_each_part_of_the_material_matters(secret: bytes, block_hash: bytes, cycle: int) -> None:
    changed = [
        SeedMaterial(secret, BLOCK_HASH, CycleId(42)),
        SeedMaterial(SECRET, block_hash, CycleId(42)),
        SeedMaterial(SECRET, BLOCK_HASH, CycleId(cycle)),
    ]
    assert all((it.seed(REACH, 0) == MATERIAL.seed(REACH, 0)) == (it == MATERIAL) for it in changed)


@given(st.integers(1, 2**63), st.integers(1, 2**63))
def test_each_cycle_has_its_own_secret(one: int, other: int) -> None:
    assert (cycle_secret(KEY, CycleId(one)) == cycle_secret(KEY, CycleId(other))) == (one == other)


def test_a_seed_and_a_rank_are_not_the_same_hash() -> None:
    assert MATERIAL.seed(REACH, 0) != int.from_bytes(MATERIAL.episode_rank(REACH, 0)[:8], "big")


@pytest.mark.parametrize(("secret", "block_hash"), [(SECRET[:31], BLOCK_HASH), (SECRET, BLOCK_HASH + b"\x00")])
def test_material_of_another_length_is_refused(secret: bytes, block_hash: bytes) -> None:
    with pytest.raises(ValueError, match="expected 32"):
        SeedMaterial(secret, block_hash, CycleId(1))
