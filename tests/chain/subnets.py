"""Subnets to test with."""

from __future__ import annotations

from functools import lru_cache

import bittensor_core as core

from tests.chain.chain import Chain
from tests.chain.world import Field, big_raw, hashed, raw, timelocked


def keypair(name: str) -> core.Keypair:
    """The same for the same name."""
    return core.Keypair.create_from_uri(f"//{name}")


@lru_cache(maxsize=2_048)
def hotkey(number: int) -> str:
    """Of the neuron that `populated` registers as this uid."""
    address: str = keypair(f"hotkey{number}").ss58_address
    return address


@lru_cache(maxsize=2_048)
def coldkey(number: int) -> str:
    address: str = keypair(f"coldkey{number}").ss58_address
    return address


KINDS: tuple[tuple[Field, ...], ...] = (
    (raw("user/policy:0123abcd:deployment"),),
    (raw("user/policy:0123abcd:e:" + "k" * 80),),
    (raw("garbage"),),
    (big_raw("user/policy:0123abcd:" + "d" * 300),),
    (raw(b"\xff\xfe\x00"),),
    (timelocked(b"sealed", 20_000_000),),
    (raw("first"), raw("second")),
    (hashed(bytes(32)),),
    ("None",),
    (),
    (big_raw(b"\xff\x00"),),
    (raw(b""),),
)
"""A commitment of every kind."""


def populated(count: int = 8, *, kinds: tuple[tuple[Field, ...], ...] = KINDS[:1]) -> Chain:
    """A chain whose subnet has so many neurons, all with a permit, a stake of 1 tao and `uid` rao, and a commitment.

    The kinds of commitments are dealt out in turn.
    """
    chain = Chain()
    for uid in range(count):
        chain.register(hotkey(uid), coldkey=coldkey(uid), stake_rao=10**9 + uid, permit=True)
        chain.commit(hotkey(uid), *kinds[uid % len(kinds)])
    chain.advance()
    return chain
