"""`kinitro explain`: why a miner has its weight, from the log or from anybody's API."""

from __future__ import annotations

from typing import Annotated

import aiohttp
import orjson
import typer

from consumers.explaining.answers import ask
from consumers.explaining.view import view
from consumers.scoring.explanation import Scored
from consumers.scoring.explanation import explain as explained
from consumers.scoring.explanation_parts import Explanation, Proof
from events import display, subjects
from events.cli import LogOptions, Misused, Servers, open_log, options, run_once
from events.codec import decode, decode_as
from events.cycles import CyclePlanned, CycleSealed
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.log import EventLog
from events.weights import WeightsComputed, WeightsWithheld


@options
def explain(
    context: typer.Context,
    cycle: Annotated[int, typer.Argument(min=1, help="Number of the cycle.")],
    miner: Annotated[str, typer.Argument(metavar="HOTKEY|UID", help="Whose weight.")],
    log: LogOptions,
    api_url: Annotated[
        str | None, typer.Option(help="A public API, instead of the log: needs no access to NATS.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, exactly, as one JSON object.")] = False,
) -> None:
    """Say why a miner has its weight: subsets won and lost, to whom, and by how much against which threshold."""

    async def main() -> None:
        if api_url is not None:
            url = f"{api_url.rstrip('/')}/v1/weights/{cycle}/explain/{miner}"
            async with aiohttp.ClientSession() as session:
                found = await ask(session, url, Explanation)
        else:
            found = await _from_log(context.obj, log, CycleId(cycle), miner)
        if as_json:
            typer.echo(orjson.dumps(found.model_dump(mode="json")))
        else:
            display.console().print(view(found))

    run_once(main)


async def _from_log(servers: Servers, options: LogOptions, cycle: CycleId, miner: str) -> Explanation:
    async with open_log(servers, options, "explain") as connection:
        scored = await read_scored(JetStreamLog(connection), cycle)
    names = {name: entry.uid for entry in scored.plan.roster for name in (str(entry.uid), entry.hotkey)}
    if miner not in names:
        raise Misused(f"cycle {cycle} has no miner {miner!r}; `kinitro cycle show {cycle}` lists them")
    return explained(scored, names[miner])


async def read_scored(log: EventLog, cycle: CycleId) -> Scored:
    """A cycle with its weights, from the log.

    Raises:
        Misused: there is no such cycle, or it gave no weights; the message says why.
        CodecError, LogUnavailable: an event cannot be read.
    """
    plan, seal, weights = [
        await log.last(subject) for subject in (subjects.plan(cycle), subjects.seal(cycle), subjects.weights(cycle))
    ]
    if plan is None:
        raise Misused(f"there is no cycle {cycle}; see `kinitro cycle list`")
    if weights is None or seal is None:
        raise Misused(f"cycle {cycle} has not been scored yet; wait for its weights")
    result = decode(weights)
    if isinstance(result.event, WeightsWithheld):
        raise Misused(f"cycle {cycle} gave no weights ({result.event.reason}): {result.event.detail}")
    given = decode_as(WeightsComputed, weights).event
    sealed = decode_as(CycleSealed, seal).event
    return Scored(
        plan=decode_as(CyclePlanned, plan).event,
        standings=given.standings,
        u16=dict(zip(given.weights_u16.uids, given.weights_u16.values, strict=True)),
        proof=Proof(
            plan_subject=subjects.plan(cycle),
            plan_sequence=plan.sequence,
            weights_subject=subjects.weights(cycle),
            weights_sequence=weights.sequence,
            weights_event_id=result.envelope.id,
            merkle_root=given.merkle_root,
            first_sequence=sealed.first_sequence,
            last_sequence=sealed.last_sequence,
            tree_size=sealed.tree_size,
            episodes=f"/v1/cycles/{cycle}/episodes",
        ),
    )
