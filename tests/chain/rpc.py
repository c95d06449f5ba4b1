"""The node's JSON-RPC methods, over a chain. Subscriptions are the node's own (`node.py`)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from tests.chain.chain import Block, Chain
from tests.chain.effects import FEE_RAO
from tests.chain.runtime import SPEC_NAME, TRANSACTION_VERSION
from tests.chain.storage import metagraph, stored

SLOT_MS = 12_000


class RpcError(Exception):
    """What the node answers instead of a result."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, **({} if data is None else {"data": data})}


class Rpc:
    """`answer` is what the node says to one request."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._methods: dict[str, Callable[..., Any]] = {
            "chain_getBlockHash": self._block_hash,
            "chain_getHead": lambda: chain.head.hash,
            "chain_getFinalizedHead": lambda: chain.last_finalized.hash,
            "chain_getHeader": self._header,
            "chain_getBlock": self._block,
            "state_getRuntimeVersion": self._runtime_version,
            "state_getStorageAt": self._storage,
            "state_getStorage": self._storage,
            "state_getKeysPaged": self._keys,
            "state_queryStorageAt": self._query,
            "state_call": self._call,
            "account_nextIndex": chain.next_nonce,
            "system_chain": lambda: "stub",
        }

    def answer(self, method: str, params: Sequence[Any]) -> Any:
        """The result.

        Raises:
            RpcError: the node has none.
        """
        if method not in self._methods:
            raise RpcError(-32601, f"Method not found: {method}")
        return self._methods[method](*params)

    def _block_hash(self, number: int | None = None) -> str | None:
        return self._chain.head.hash if number is None else self._chain.hash_of(number)

    def _header(self, block_hash: str | None = None) -> dict[str, Any] | None:
        block = self._chain.head if block_hash is None else self._chain.block(block_hash)
        return None if block is None else header(block)

    def _block(self, block_hash: str | None = None) -> dict[str, Any] | None:
        block = self._chain.head if block_hash is None else self._chain.block(block_hash)
        if block is None:
            return None
        return {"block": {"header": header(block), "extrinsics": list(block.extrinsics)}, "justifications": None}

    def _runtime_version(self, block_hash: str | None = None) -> dict[str, Any]:
        if block_hash is not None and self._chain.block(block_hash) is not None:
            self._at(block_hash)
        version = self._chain.runtime.spec_version
        return {"specName": SPEC_NAME, "specVersion": version, "transactionVersion": TRANSACTION_VERSION}

    def _storage(self, key: str, block_hash: str | None = None) -> str | None:
        return self._state(block_hash).get(key)

    def _keys(self, prefix: str, count: int, after: str | None = None, block_hash: str | None = None) -> list[str]:
        keys = sorted(key for key in self._state(block_hash) if key.startswith(prefix))
        start = bisect_right(keys, after) if after else 0
        return keys[start : start + count]

    def _query(self, keys: list[str], block_hash: str | None = None) -> list[dict[str, Any]]:
        state = self._state(block_hash)
        return [{"block": self._at(block_hash).hash, "changes": [[key, state.get(key)] for key in keys]}]

    def _call(self, name: str, params: str, block_hash: str | None = None) -> str:
        runtime = self._chain.runtime
        if name == "Metadata_metadata_at_version":
            size = len(runtime.metadata)
            assert 1 << 14 <= size < 1 << 30
            return "0x01" + (size << 2 | 2).to_bytes(4, "little").hex() + runtime.metadata.hex()
        block = self._at(block_hash)
        if name == "SubnetInfoRuntimeApi_get_metagraph":
            netuid = int.from_bytes(bytes.fromhex(params.removeprefix("0x"))[:2], "little")
            return metagraph(runtime, block.world, block.number) if netuid == block.world.netuid else "0x00"
        if name == "TransactionPaymentApi_query_info":
            quote = {"weight": {"ref_time": 5, "proof_size": 0}, "class": "Normal", "partial_fee": FEE_RAO}
            return runtime.encoded(runtime.output("TransactionPaymentApi", "query_info"), quote)
        raise RpcError(4003, f"Client error: Execution failed: Exported method {name} is not found")

    def _state(self, block_hash: str | None) -> dict[str, str]:
        block = self._at(block_hash)
        runtime = self._chain.runtime
        return {
            **stored(runtime, block.world),
            runtime.key("System", "Number"): runtime.value("System", "Number", block.number),
            runtime.key("System", "Events"): runtime.value("System", "Events", list(block.events)),
            runtime.key("Timestamp", "Now"): runtime.value("Timestamp", "Now", block.number * SLOT_MS),
        }

    def _at(self, block_hash: str | None) -> Block:
        if block_hash is None:
            return self._chain.head
        block = self._chain.block(block_hash)
        if block is None:
            raise RpcError(4003, "Client error: UnknownBlock: Header was not found in the database", block_hash)
        if not self._chain.has_state(block):
            raise RpcError(4003, f"Client error: UnknownBlock: State already discarded for {block_hash}")
        return block


def header(block: Block) -> dict[str, Any]:
    return {
        "number": hex(block.number),
        "parentHash": block.parent,
        "stateRoot": "0x" + "11" * 32,
        "extrinsicsRoot": "0x" + "22" * 32,
        "digest": {"logs": []},
    }
