"""What the read model of cycles was at a sequence, as rows.

Counters are counted again, from the outcomes and the failed attempts of single episodes.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, literal, select, true, union_all

from projectors.cut import Cut
from projectors.cycles.past import outcome_counts
from projectors.cycles.tables import plans, progress, seals, seeds
from projectors.episodes.tables import attempts, outcomes

_NONE = literal(0)


async def cut_back(cut: Cut) -> None:
    await cut.keep(plans, seeds, seals)
    await cut.fill(progress, _counters(cut.sequence))


def _counters(as_of: int) -> Select[Any]:
    parts = union_all(_planned(as_of), _ended(as_of), _failed(as_of)).subquery()
    sums = [func.sum(parts.c[column.name]) for column in progress.columns if not column.primary_key]
    return select(parts.c.cycle, parts.c.env, *sums).group_by(parts.c.cycle, parts.c.env)


def _planned(as_of: int) -> Select[Any]:
    """Every environment of a plan has a row, from the plan on."""
    env = func.json_array_elements_text(plans.c.plan["environments"]).table_valued("env").render_derived()
    nothing = [_NONE.label(name) for name in ("completed", "successful", "forfeited", "abandoned", "attempts_failed")]
    query = select(plans.c.cycle, env.c.env, *nothing).select_from(plans.join(env, true()))
    return query.where(plans.c.sequence <= as_of)


def _ended(as_of: int) -> Select[Any]:
    query = select(outcomes.c.cycle, outcomes.c.env, *outcome_counts(), _NONE)
    return query.where(outcomes.c.sequence <= as_of).group_by(outcomes.c.cycle, outcomes.c.env)


def _failed(as_of: int) -> Select[Any]:
    query = select(attempts.c.cycle, attempts.c.env, _NONE, _NONE, _NONE, _NONE, func.count())
    return query.where(attempts.c.sequence <= as_of).group_by(attempts.c.cycle, attempts.c.env)
