"""Who is evaluated, on what, under which rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from events.cycles import CyclePlanned, RosterEntry
from events.ids import CycleId, Uid
from events.metagraph import ChainTerms, MetagraphRecorded, RecordedNeuron
from events.rule_changes import RulesAnnounced, in_force
from events.seeds import commitment_to, cycle_secret
from producers.cycles.failures import Failures
from producers.cycles.settings import SchedulerSettings
from producers.discovery.commitments import endpoint_of
from producers.discovery.metagraph import MetagraphSnapshot
from producers.discovery.registry import KnownMiner, Registry


def plan_cycle(
    cycle: CycleId,
    registry: Registry,
    settings: SchedulerSettings,
    pin: int | MetagraphSnapshot,
    announced: Iterable[RulesAnnounced] = (),
    failures: Failures | None = None,
) -> CyclePlanned | str:
    """The plan of a cycle over all registered miners that can be reached, by uid; or why there can be none.

    `pin` is the block to which it is pinned, with the whole subnet where there is a chain: then its uids count, and
    not those of the registry, which may have been read a block earlier or later. Where any of the announced rules
    count in it, they win over those of the settings. Where miners are checked, those with `failures` are suspended.
    """
    rules = in_force(cycle, announced)
    graph = pin if isinstance(pin, MetagraphSnapshot) else None
    roster = tuple(
        RosterEntry(uid=miner.uid, hotkey=miner.hotkey, commitment=miner.commitment)
        for miner in registry.holders()
        if miner.commitment is not None
        and _is_reached(miner, settings)
        and (graph is None or _holds_uid(miner, graph))
    )
    if not roster:
        return (
            f"cycle {cycle} has nobody to evaluate: of {len(registry.holders())} registered miners none has an"
            " endpoint that can be read; add miners to the roster, or wait for commitments; where endpoints are"
            " encrypted, set KINITRO_BACKEND_PRIVATE_KEY"
        )
    checked = settings.verification
    return CyclePlanned(
        cycle=cycle,
        block=pin if isinstance(pin, int) else pin.block,
        chain=_chain_of(graph) if graph else None,
        roster=roster,
        environments=settings.environments,
        episodes_per_environment=settings.episodes_per_env,
        terms=settings.terms,
        rules=rules.rules if rules else settings.rules,
        verification=checked.terms((failures or Failures()).suspended(roster)) if checked else None,
        deadline_s=settings.deadline_s,
        versions=settings.versions,
        secret_commitment=commitment_to(cycle_secret(settings.master_key, cycle)),
    )


def metagraph_of(cycle: CycleId, graph: MetagraphSnapshot) -> MetagraphRecorded:
    """What stands in the log beside the plan."""
    return MetagraphRecorded(
        cycle=cycle,
        netuid=graph.netuid,
        block=graph.block,
        block_hash=graph.block_hash,
        neurons=tuple(
            RecordedNeuron(
                uid=it.uid,
                hotkey=it.hotkey,
                coldkey=it.coldkey,
                stake_rao=it.stake_rao,
                registered_at_block=it.registered_block,
            )
            for it in graph.neurons
        ),
    )


def left_out(registry: Registry, settings: SchedulerSettings) -> tuple[Uid, ...]:
    """Registered miners that are not planned: their endpoints are sealed, and the key does not open them."""
    return tuple(miner.uid for miner in registry.holders() if not _is_reached(miner, settings))


def _is_reached(miner: KnownMiner, settings: SchedulerSettings) -> bool:
    return miner.commitment is not None and endpoint_of(miner.commitment, settings.endpoint_key) is not None


def _holds_uid(miner: KnownMiner, graph: MetagraphSnapshot) -> bool:
    return miner.uid < len(graph.neurons) and graph.neurons[miner.uid].hotkey == miner.hotkey


def _chain_of(graph: MetagraphSnapshot) -> ChainTerms:
    return ChainTerms(genesis=graph.genesis, netuid=graph.netuid, block_hash=graph.block_hash)
