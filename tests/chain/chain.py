"""A chain that a test drives: it makes a block when it is told to, or when an extrinsic comes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from tests.chain.effects import DispatchFailed, check_known, fee_rao, perform
from tests.chain.runtime import Runtime, runtime
from tests.chain.world import OWNER_RAO, Account, Committed, Field, Neuron, Rules, World

NETUID = 7
KEPT = 256
"""Of how many finalized blocks the state is kept."""


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """A block, and the world that it left."""

    number: int
    hash: str
    parent: str
    world: World
    extrinsics: tuple[str, ...] = ()
    events: tuple[dict[str, Any], ...] = ()


class Listener(Protocol):
    """Who is told what happens to blocks."""

    def produced(self, block: Block) -> None: ...

    def finalized(self, block: Block) -> None: ...

    def retracted(self, block: Block) -> None: ...


class InvalidTransaction(Exception):
    """The pool refuses an extrinsic. `str()` is the node's reason."""


class Chain:
    """Changes by a test (`register`, `commit`, ...) are seen from the next block on, as are extrinsics.

    `netuid` is the only subnet. The first block is `start`, and it is finalized. `instant`: a submitted extrinsic
    gets a block of its own, finalized at once; otherwise it waits in `pool` for `produce`.
    """

    def __init__(self, *, netuid: int = NETUID, start: int = 1000, recorded: Runtime | None = None) -> None:
        self.runtime = recorded or runtime()
        self.instant = True
        self.world = World(netuid)
        """As the next block will find it."""
        self.pool: list[str] = []
        self.listeners: list[Listener] = []
        self._start = start
        self._forks = 0
        first = Block(start, ancient_hash(start), ancient_hash(start - 1), self.world)
        self._known = {first.hash: first}
        self._canonical = {start: first}
        self.head = first
        self.last_finalized = first
        self._oldest_state = start

    # what is on it

    def block(self, block_hash: str) -> Block | None:
        """Also one of an abandoned fork."""
        return self._known.get(block_hash)

    def hash_of(self, number: int) -> str | None:
        """Of the canonical block; blocks before the first have a hash and nothing else."""
        if number < self._start:
            return ancient_hash(number)
        block = self._canonical.get(number)
        return None if block is None else block.hash

    def has_state(self, block: Block) -> bool:
        return block.number >= self._oldest_state

    # what a test changes

    def register(
        self, hotkey: str, *, uid: int | None = None, coldkey: str = "", stake_rao: int = 0, permit: bool = False
    ) -> int:
        """The uid: the next free one, or one that is taken from its holder."""
        uid = len(self.world.neurons) if uid is None else uid
        neuron = Neuron(hotkey, coldkey or hotkey, stake_rao, self.head.number + 1, permit)
        self.world = self.world.with_neuron(uid, neuron)
        return uid

    def commit(self, hotkey: str, *fields: Field, block: int | None = None) -> None:
        """The chain lets nobody write some of these; it has them from older runtimes."""
        committed = Committed(self.head.number + 1 if block is None else block, fields)
        self.world = self.world.with_commitment(hotkey, committed)

    def endow(self, address: str, free_rao: int = OWNER_RAO) -> None:
        account = replace(self.world.account(address), free_rao=free_rao)
        self.world = self.world.with_account(address, account)

    def rule(self, **rules: Any) -> None:
        """Changes the subnet's `Rules`."""
        self.world = replace(self.world, rules=replace(self.world.rules, **rules))

    @property
    def rules(self) -> Rules:
        return self.world.rules

    def reveal(self, hotkey: str, weights: Mapping[int, int]) -> None:
        """What the chain does by itself in the round of sealed weights: they are in force, and no longer sealed."""
        uid = self.world.uid(hotkey)
        assert uid is not None, f"{hotkey} is not registered"
        sealed = tuple(it for it in self.world.sealed if it.hotkey != hotkey)
        in_force = {**self.world.weights, uid: tuple(sorted(weights.items()))}
        self.world = replace(self.world, sealed=sealed, weights=in_force)

    # blocks

    def advance(self, count: int = 1) -> Block:
        """So many blocks, all finalized."""
        self.produce(count)
        self.finalize()
        return self.head

    def produce(self, count: int = 1) -> Block:
        """So many blocks; the first has what is in the pool."""
        for _ in range(count):
            pool, self.pool = self.pool, []
            self._append(tuple(pool))
        return self.head

    def finalize(self, number: int | None = None) -> None:
        """All up to the head, or to `number`."""
        last = self.head.number if number is None else number
        for each in range(self.last_finalized.number + 1, last + 1):
            self.last_finalized = self._canonical[each]
            for listener in self.listeners:
                listener.finalized(self.last_finalized)
        self._oldest_state = max(self._oldest_state, last - KEPT)

    def prune(self) -> None:
        """Only the head keeps its state."""
        self._oldest_state = self.head.number

    def reorganise(self, depth: int, *, finalized_too: bool = False) -> Block:
        """Another fork, one block longer, takes the place of the last `depth` blocks; what they did is undone.

        `finalized_too`: even finalized blocks go, as for who changes to another node.
        """
        ancestor = self.head.number - depth
        assert finalized_too or ancestor >= self.last_finalized.number, "finalized blocks stay: see finalized_too"
        self._forks += 1
        for number in range(self.head.number, ancestor, -1):
            gone = self._canonical.pop(number)
            for listener in self.listeners:
                listener.retracted(gone)
        self.head = self._canonical[ancestor]
        self.world = self.head.world
        was_final = self.last_finalized.number
        self.last_finalized = self._canonical[min(was_final, ancestor)]
        self.produce(depth + 1)
        if was_final > ancestor:
            self.finalize()
        return self.head

    # extrinsics

    def submit(self, extrinsic: str) -> str:
        """Takes it into the pool, and returns its hash.

        Raises:
            InvalidTransaction: it can never be in a block.
            NotImplementedError: the stub does not know the call.
        """
        decoded = self.runtime.extrinsic(extrinsic)
        check_known(decoded["call"])
        if extrinsic in self.pool:
            raise InvalidTransaction("Transaction Already Imported")
        if decoded["nonce"] < self.next_nonce(decoded["address"]):
            raise InvalidTransaction("Transaction is outdated")
        if fee_rao(decoded["call"]) > self.world.account(decoded["address"]).free_rao:
            raise InvalidTransaction("Inability to pay some fees (e.g. account balance too low)")
        self.pool.append(extrinsic)
        return hash_of_extrinsic(extrinsic)

    def next_nonce(self, address: str) -> int:
        waiting = [each for each in self.pool if self.runtime.extrinsic(each)["address"] == address]
        return self.world.account(address).nonce + len(waiting)

    def _append(self, extrinsics: tuple[str, ...]) -> None:
        number = self.head.number + 1
        events = tuple(self._perform(index, each, number) for index, each in enumerate(extrinsics))
        block_hash = _digest(f"{self.head.hash} {number} {self._forks} {' '.join(extrinsics)}")
        block = Block(number, block_hash, self.head.hash, self.world, extrinsics, events)
        self._known[block_hash] = block
        self._canonical[number] = block
        self.head = block
        for listener in self.listeners:
            listener.produced(block)

    def _perform(self, index: int, extrinsic: str, number: int) -> dict[str, Any]:
        decoded = self.runtime.extrinsic(extrinsic)
        signer, call = decoded["address"], decoded["call"]
        account = self.world.account(signer)
        paid = Account(account.nonce + 1, account.free_rao - fee_rao(call))
        self.world = self.world.with_account(signer, paid)
        info = {"weight": {"ref_time": 1, "proof_size": 1}, "class": "Normal", "pays_fee": "Yes"}
        try:
            self.world = perform(self.world, call, signer, number)
        except DispatchFailed as failed:
            error = self.runtime.error(str(failed))
            event = {"System": {"ExtrinsicFailed": {"dispatch_error": error, "dispatch_info": info}}}
        else:
            event = {"System": {"ExtrinsicSuccess": {"dispatch_info": info}}}
        return {"phase": {"ApplyExtrinsic": index}, "event": event, "topics": []}


def ancient_hash(number: int) -> str:
    """Of a block before the first; of block 0 it tells clients which chain this is."""
    return _digest(f"stub block {number}")


def hash_of_extrinsic(extrinsic: str) -> str:
    return "0x" + hashlib.blake2b(bytes.fromhex(extrinsic.removeprefix("0x")), digest_size=32).hexdigest()


def _digest(text: str) -> str:
    return "0x" + hashlib.blake2b(text.encode(), digest_size=32).hexdigest()
