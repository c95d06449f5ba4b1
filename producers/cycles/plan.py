"""Who is evaluated, on what, under which rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from events.cycles import CyclePlanned, RosterEntry
from events.ids import CycleId, Uid
from events.rule_changes import RulesAnnounced, in_force
from events.seeds import commitment_to, cycle_secret
from producers.blocks import Block
from producers.cycles.settings import SchedulerSettings
from producers.discovery.commitments import endpoint_of
from producers.discovery.registry import KnownMiner, Registry


def plan_cycle(
    cycle: CycleId,
    registry: Registry,
    settings: SchedulerSettings,
    block: Block,
    announced: Iterable[RulesAnnounced] = (),
) -> CyclePlanned | str:
    """The plan of a cycle over all registered miners that can be reached, by uid; or why there can be none.

    Where any of the announced rules count in it, they win over those of the settings.
    """
    rules = in_force(cycle, announced)
    roster = tuple(
        RosterEntry(uid=miner.uid, hotkey=miner.hotkey, commitment=miner.commitment)
        for miner in registry.holders()
        if miner.commitment is not None and _is_reached(miner, settings)
    )
    if not roster:
        return (
            f"cycle {cycle} has nobody to evaluate: of {len(registry.holders())} registered miners none has an"
            " endpoint that can be read; add miners to the roster, or wait for commitments; where endpoints are"
            " encrypted, set KINITRO_BACKEND_PRIVATE_KEY"
        )
    return CyclePlanned(
        cycle=cycle,
        block=block.number,
        roster=roster,
        environments=settings.environments,
        episodes_per_environment=settings.episodes_per_env,
        terms=settings.terms,
        rules=rules.rules if rules else settings.rules,
        deadline_s=settings.deadline_s,
        versions=settings.versions,
        secret_commitment=commitment_to(cycle_secret(settings.master_key, cycle)),
    )


def left_out(registry: Registry, settings: SchedulerSettings) -> tuple[Uid, ...]:
    """Registered miners that are not planned: their endpoints are sealed, and the key does not open them."""
    return tuple(miner.uid for miner in registry.holders() if not _is_reached(miner, settings))


def _is_reached(miner: KnownMiner, settings: SchedulerSettings) -> bool:
    return miner.commitment is not None and endpoint_of(miner.commitment, settings.endpoint_key) is not None
