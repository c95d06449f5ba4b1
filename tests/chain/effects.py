"""What an extrinsic does to the world, and why it may not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tests.chain.world import Committed, Sealed, World

FEE_RAO = 124_414
FIELDS_MAX = 3
BIG_RAW_MAX = 512

Arguments = Mapping[str, Any]


class DispatchFailed(Exception):
    """The extrinsic is in the block and did nothing. `str()` is the name of the pallet's error."""


def perform(world: World, call: Mapping[str, Any], signer: str, block: int) -> World:
    """The world after this call.

    Raises:
        DispatchFailed: as the pallet would.
    """
    arguments = {argument["name"]: argument["value"] for argument in call["call_args"]}
    return _CALLS[name_of(call)](world, arguments, signer, block)


def name_of(call: Mapping[str, Any]) -> str:
    return f"{call['call_module']}.{call['call_function']}"


def check_known(call: Mapping[str, Any]) -> None:
    """NotImplementedError where nobody has needed the call yet."""
    if name_of(call) not in _CALLS:
        raise NotImplementedError(f"the stub does not know the call {name_of(call)}; it knows {', '.join(_CALLS)}")


def fee_rao(call: Mapping[str, Any]) -> int:
    """Weights are free."""
    return FEE_RAO if call["call_module"] == "Commitments" else 0


def _set_commitment(world: World, arguments: Arguments, signer: str, block: int) -> World:
    _own_uid(world, arguments, signer, "AccountNotAllowedCommit")
    fields = [_as_bytes(each) for each in arguments["info"]["fields"]]
    if len(fields) > FIELDS_MAX:
        raise DispatchFailed("TooManyFieldsInCommitmentInfo")
    return world.with_commitment(signer, Committed(block, tuple(fields)))


def _as_bytes(field: Any) -> Any:
    """What was decoded, in a form that is encoded to the same bytes."""
    if isinstance(field, str):
        return field
    ((kind, value),) = field.items()
    if kind == "BigRaw":
        return {kind: value.encode() if not value.startswith("0x") else bytes.fromhex(value[2:])}
    if kind == "TimelockEncrypted":
        return {kind: {**value, "encrypted": _bytes(value["encrypted"])}}
    return {kind: _bytes(value)}


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return bytes.fromhex(value[2:]) if value.startswith("0x") else value.encode()
    return bytes(value)


def _set_weights(world: World, arguments: Arguments, signer: str, block: int) -> World:
    uid = _may_set_weights(world, arguments, signer, block, "SettingWeightsTooFast")
    if world.rules.commit_reveal:
        raise DispatchFailed("CommitRevealEnabled")
    dests, values = arguments["dests"], arguments["weights"]
    if len(dests) != len(values):
        raise DispatchFailed("WeightVecNotEqualSize")
    if len(set(dests)) != len(dests):
        raise DispatchFailed("DuplicateUids")
    if any(dest >= len(world.neurons) for dest in dests):
        raise DispatchFailed("UidVecContainInvalidOne")
    if arguments["version_key"] < world.rules.weights_version:
        raise DispatchFailed("IncorrectWeightVersionKey")
    if len(dests) < world.rules.min_allowed_weights:
        raise DispatchFailed("WeightVecLengthIsLow")
    world = replace(world, weights={**world.weights, uid: tuple(zip(dests, values, strict=True))})
    return _updated(world, uid, block)


def _commit_weights(world: World, arguments: Arguments, signer: str, block: int) -> World:
    if not world.rules.commit_reveal:
        raise DispatchFailed("CommitRevealDisabled")
    uid = _may_set_weights(world, arguments, signer, block, "CommittingWeightsTooFast")
    sealed = Sealed(signer, block, _bytes(arguments["commit"]), arguments["reveal_round"])
    return _updated(replace(world, sealed=(*world.sealed, sealed)), uid, block)


def _may_set_weights(world: World, arguments: Arguments, signer: str, block: int, too_fast: str) -> int:
    uid = _own_uid(world, arguments, signer, "HotKeyNotRegisteredInSubNet")
    neuron = world.neurons[uid]
    if neuron.last_update and block - neuron.last_update < world.rules.weights_rate_limit:
        raise DispatchFailed(too_fast)
    if not neuron.permit:
        raise DispatchFailed("NeuronNoValidatorPermit")
    return uid


def _own_uid(world: World, arguments: Arguments, signer: str, otherwise: str) -> int:
    uid = world.uid(signer)
    if uid is None or arguments["netuid"] != world.netuid:
        raise DispatchFailed(otherwise)
    return uid


def _updated(world: World, uid: int, block: int) -> World:
    return world.with_neuron(uid, replace(world.neurons[uid], last_update=block))


_CALLS: dict[str, Callable[[World, Arguments, str, int], World]] = {
    "Commitments.set_commitment": _set_commitment,
    "SubtensorModule.set_weights": _set_weights,
    "SubtensorModule.set_mechanism_weights": _set_weights,
    "SubtensorModule.commit_timelocked_weights": _commit_weights,
    "SubtensorModule.commit_timelocked_mechanism_weights": _commit_weights,
}
