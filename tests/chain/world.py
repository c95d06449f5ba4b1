"""What the chain's state says, without how it is stored. Values: a block keeps the world it left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

OWNER_RAO = 10**12
"""What an account holds of which nothing else was said: 1000 tao."""

Field = Mapping[str, Any] | str
"""One field of a commitment, as the chain's codec takes it."""


def raw(data: bytes | str) -> Field:
    """`Raw<n>`: at most 128 bytes."""
    data = data.encode() if isinstance(data, str) else data
    assert len(data) <= 128, f"Raw holds 128 bytes, these are {len(data)}: take big_raw"
    return {f"Raw{len(data)}": data}


def big_raw(data: bytes | str) -> Field:
    """`BigRaw`: at most 512 bytes on the chain; this one takes more."""
    return {"BigRaw": data.encode() if isinstance(data, str) else data}


def timelocked(encrypted: bytes, reveal_round: int) -> Field:
    return {"TimelockEncrypted": {"encrypted": encrypted, "reveal_round": reveal_round}}


def hashed(digest: bytes) -> Field:
    return {"Sha256": digest}


@dataclass(frozen=True, slots=True)
class Neuron:
    """Who holds a uid."""

    hotkey: str
    coldkey: str
    stake_rao: int
    registered: int
    """The block."""
    permit: bool = False
    last_update: int = 0
    """The block of its last weights."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A hotkey's commitment."""

    block: int
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Account:
    nonce: int = 0
    free_rao: int = OWNER_RAO


@dataclass(frozen=True, slots=True)
class Sealed:
    """Weights that only a later drand round opens."""

    hotkey: str
    block: int
    commit: bytes
    reveal_round: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The subnet's hyperparameters, as far as anyone here asks."""

    commit_reveal: bool = False
    weights_rate_limit: int = 0
    """Blocks."""
    min_allowed_weights: int = 1
    max_weights_limit: int = 65_535
    weights_version: int = 0
    tempo: int = 360
    reveal_period_epochs: int = 1


@dataclass(frozen=True, eq=False)
class World:
    """The state of one subnet, and of all accounts. `neurons` are in the order of their uids."""

    netuid: int
    rules: Rules = Rules()
    neurons: tuple[Neuron, ...] = ()
    commitments: Mapping[str, Committed] = field(default_factory=dict)
    weights: Mapping[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """By the uid that set them: (uid, u16)."""
    sealed: tuple[Sealed, ...] = ()
    accounts: Mapping[str, Account] = field(default_factory=dict)

    def uid(self, hotkey: str) -> int | None:
        return next((uid for uid, neuron in enumerate(self.neurons) if neuron.hotkey == hotkey), None)

    def account(self, address: str) -> Account:
        return self.accounts.get(address, Account())

    def with_neuron(self, uid: int, neuron: Neuron) -> World:
        """`uid` may be the next free one."""
        return replace(self, neurons=(*self.neurons[:uid], neuron, *self.neurons[uid + 1 :]))

    def with_account(self, address: str, account: Account) -> World:
        return replace(self, accounts={**self.accounts, address: account})

    def with_commitment(self, hotkey: str, commitment: Committed) -> World:
        return replace(self, commitments={**self.commitments, hotkey: commitment})
