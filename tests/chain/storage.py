"""A world as the node stores it, and what its runtime answers about it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tests.chain.runtime import Runtime
from tests.chain.world import World

Put = Callable[..., None]


@lru_cache(maxsize=32)
def stored(runtime: Runtime, world: World) -> dict[str, str]:
    """Storage keys and values, all 0x-hex. What differs with each block is not among them."""
    entries: dict[str, str] = {}

    def put(pallet: str, item: str, params: tuple[object, ...], value: object) -> None:
        if runtime.has(pallet, item):
            entries[runtime.key(pallet, item, *params)] = runtime.value(pallet, item, value)

    _put_rules(put, world)
    _put_neurons(put, world)
    for address, account in world.accounts.items():
        value = {
            "nonce": account.nonce,
            "consumers": 0,
            "providers": 1,
            "sufficients": 0,
            "data": {"free": account.free_rao, "reserved": 0, "frozen": 0, "flags": 0},
        }
        put("System", "Account", (address,), value)
    for hotkey, commitment in world.commitments.items():
        registration = {"deposit": 0, "block": commitment.block, "info": {"fields": list(commitment.fields)}}
        put("Commitments", "CommitmentOf", (world.netuid, hotkey), registration)
    return entries


def _put_rules(put: Put, world: World) -> None:
    rules = world.rules
    for item, value in {
        "NetworksAdded": True,
        "SubnetworkN": len(world.neurons),
        "CommitRevealWeightsEnabled": rules.commit_reveal,
        "WeightsSetRateLimit": rules.weights_rate_limit,
        "MinAllowedWeights": rules.min_allowed_weights,
        "MaxWeightsLimit": rules.max_weights_limit,
        "WeightsVersionKey": rules.weights_version,
        "SubnetEpochConsensus": 0,
        "Tempo": rules.tempo,
        "RevealPeriodEpochs": rules.reveal_period_epochs,
    }.items():
        put("SubtensorModule", item, (world.netuid,), value)


def _put_neurons(put: Put, world: World) -> None:
    netuid = world.netuid
    put("SubtensorModule", "LastUpdate", (netuid,), [it.last_update for it in world.neurons])
    put("SubtensorModule", "ValidatorPermit", (netuid,), [it.permit for it in world.neurons])
    for uid, neuron in enumerate(world.neurons):
        put("SubtensorModule", "Uids", (netuid, neuron.hotkey), uid)
        put("SubtensorModule", "Keys", (netuid, uid), neuron.hotkey)
        put("SubtensorModule", "BlockAtRegistration", (netuid, uid), neuron.registered)
    for uid, weights in world.weights.items():
        put("SubtensorModule", "Weights", (netuid, uid), list(weights))
    if world.sealed:
        queue = [(it.hotkey, it.block, it.commit, it.reveal_round) for it in world.sealed]
        put("SubtensorModule", "TimelockedWeightCommits", (netuid, 0), queue)


@lru_cache(maxsize=8)
def metagraph(runtime: Runtime, world: World, number: int) -> str:
    """What `SubnetInfoRuntimeApi.get_metagraph` returns for the world's own netuid."""
    output = runtime.output("SubnetInfoRuntimeApi", "get_metagraph")
    stakes = [it.stake_rao for it in world.neurons]
    zeros = [0] * len(world.neurons)
    columns: dict[str, Any] = {
        "hotkeys": [it.hotkey for it in world.neurons],
        "coldkeys": [it.coldkey for it in world.neurons],
        "active": [True for _ in world.neurons],
        "validator_permit": [it.permit for it in world.neurons],
        "last_update": [it.last_update for it in world.neurons],
        "block_at_registration": [it.registered for it in world.neurons],
        "alpha_stake": stakes,
        "total_stake": stakes,
        "identities": [None for _ in world.neurons],
        "axons": [_NO_AXON for _ in world.neurons],
    }
    columns |= dict.fromkeys(_ZERO_COLUMNS, zeros)
    facts = {
        "netuid": world.netuid,
        "name": list(b"stub"),
        "symbol": list(b"s"),
        "block": number,
        "tempo": world.rules.tempo,
        "num_uids": len(world.neurons),
        "max_uids": 256,
        "commit_reveal_weights_enabled": world.rules.commit_reveal,
        "weights_rate_limit": world.rules.weights_rate_limit,
    }
    return runtime.encoded(output, {**runtime.blank(output), **columns, **facts})


_NO_AXON = dict.fromkeys(("block", "version", "ip", "port", "ip_type", "protocol", "placeholder1", "placeholder2"), 0)
_ZERO_COLUMNS = (
    "pruning_score",
    "emission",
    "dividends",
    "incentives",
    "consensus",
    "trust",
    "rank",
    "tao_stake",
    "collateral_locked",
    "collateral_min",
    "collateral_earned",
)
