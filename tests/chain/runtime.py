"""A recorded runtime of the node: what encodes and decodes as the chain does."""

from __future__ import annotations

import json
import lzma
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import bittensor_core

RECORDED = Path(__file__).parent / "recorded" / "metadata-461.xz"
SPEC_VERSION = 461
SPEC_NAME = "node-subtensor"
TRANSACTION_VERSION = 1
SS58_FORMAT = 42

_LENT = (b"MaxAllowedValidators", b"SubnetEpochConsensus")
"""The recording is older than an item that the SDK reads before it sets weights. One of the same length lends its
place: names are all that is changed, so that lengths and types stay valid."""


class Runtime:
    """The recorded runtime, or one that lacks the storage items and methods named in `without`."""

    def __init__(self, without: frozenset[str] = frozenset()) -> None:
        self.spec_version = SPEC_VERSION + int.from_bytes("\0".join(sorted(without)).encode(), "big") % 65_521
        """Another one for other metadata: clients keep metadata by it."""
        self.metadata = _metadata(without)
        self._core = bittensor_core.Runtime(self.metadata, self.spec_version, TRANSACTION_VERSION, SS58_FORMAT)

    def has(self, pallet: str, item: str) -> bool:
        try:
            self._core.storage_entry(pallet, item)
        except KeyError:
            return False
        return True

    def key(self, pallet: str, item: str, *params: object) -> str:
        """The storage key, as 0x-hex."""
        return "0x" + bytes(self._core.storage_key(pallet, item, list(params))).hex()

    def value(self, pallet: str, item: str, value: object) -> str:
        """A value of this storage item, as 0x-hex."""
        return self.encoded(self._core.storage_entry(pallet, item).value_type, value)

    def encoded(self, type_name: str, value: object) -> str:
        return "0x" + bytes(self._core.encode(type_name, value)).hex()

    def extrinsic(self, data_hex: str) -> dict[str, Any]:
        """A signed extrinsic, decoded."""
        decoded: dict[str, Any] = self._core.decode_extrinsic(bytes.fromhex(data_hex.removeprefix("0x")), True)
        return decoded

    def constant(self, pallet: str, name: str) -> Any:
        return self._core.constant(pallet, name)

    def output(self, api: str, method: str) -> str:
        """The type of what a runtime API's method returns."""
        output: str = self._apis[api][method]["output"]
        return output

    def error(self, name: str) -> dict[str, Any]:
        """The dispatch error of this name."""
        for pallet in self._core.metadata_ir()["pallets"]:
            for error in pallet["errors"]:
                if error["name"] == name:
                    return {"Module": {"index": pallet["index"], "error": bytes([error["index"], 0, 0, 0])}}
        raise LookupError(f"no pallet of runtime {self.spec_version} has an error {name}")

    def blank(self, type_name: str) -> Any:
        """A value of an Option's inside type in which everything is 0, empty or false."""
        outer = self._types[int(type_name.removeprefix("scale_info::"))]["def"]["variant"]["variants"]
        return self._zero(next(it for it in outer if it["name"] == "Some")["fields"][0]["type"])

    def _zero(self, type_id: int) -> Any:
        ((kind, definition),) = self._types[type_id]["def"].items()
        if kind == "composite":
            fields = definition.get("fields", [])
            if fields and "name" in fields[0]:
                return {field["name"]: self._zero(field["type"]) for field in fields}
            return self._zero(fields[0]["type"])
        if kind == "array":
            return bytes(definition["len"])
        if kind == "variant":
            return None
        return [] if kind == "sequence" else False if definition == "bool" else 0

    @cached_property
    def _types(self) -> dict[int, dict[str, Any]]:
        return {each["id"]: each["type"] for each in json.loads(self._core.registry_json())["types"]}

    @cached_property
    def _apis(self) -> dict[str, Any]:
        apis: dict[str, Any] = self._core.runtime_api_map()
        return apis


@lru_cache
def runtime(*without: str) -> Runtime:
    """Read once a process."""
    return Runtime(frozenset(without))


def _metadata(without: frozenset[str]) -> bytes:
    metadata = lzma.decompress(RECORDED.read_bytes())
    lender, borrower = _LENT
    metadata = metadata.replace(_name(lender), _name(borrower))
    for name in without:
        recorded = _name(name.encode())
        assert recorded in metadata, f"the recorded runtime has no {name}"
        metadata = metadata.replace(recorded, _name(b"Gone" + name.encode()[4:]))
    return metadata


def _name(name: bytes) -> bytes:
    """As metadata hold it: its length, compact, comes first."""
    assert len(name) < 64
    return bytes([len(name) << 2]) + name
