"""`kinitro audit history`: was history only ever appended to, and is what somebody kept still its beginning?"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Annotated

import aiohttp
import orjson
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from consumers.audit.anchors import ChainOptions
from consumers.audit.cycle.commands import parse_key
from consumers.audit.cycle.signatures import UNPINNED
from consumers.audit.history.checks import HistoryAudit, Kept
from consumers.audit.history.sources import ApiHistory, audit_log
from events import display
from events.bars import bar
from events.cli import LogOptions, Misused, Servers, open_log, options, run_once
from events.ids import Hotkey
from events.jetstream import JetStreamLog

DIFFERENT = 1
"""The exit status where something differs. What cannot be audited ends with 2, as every misuse."""

_ROOT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HistoryOptions:
    """What was kept, and from where the history comes where it is not the log."""

    since: Annotated[int | None, typer.Option(min=1, help="The cycle of a history root that you kept.")] = None
    root: Annotated[str | None, typer.Option(help="That history root, in hex.")] = None
    api_url: Annotated[
        str | None, typer.Option(help="A public API, instead of the log: needs no access to NATS.")
    ] = None
    key: Annotated[str | None, typer.Option(help="The backend's key (SS58), which must have signed.")] = None

    def kept(self) -> Kept | None:
        """The root that was kept, if any.

        Raises:
            Misused: it is incomplete, or no root.
        """
        if self.since is None and self.root is None:
            return None
        if self.since is None or self.root is None:
            raise Misused("--since and --root go together: the cycle, and the history root that you kept of it")
        if not _ROOT.fullmatch(self.root.lower()):
            raise Misused(f"--root {self.root}: expected 64 hexadecimal digits")
        return Kept(self.since, self.root.lower())


@options
def audit_history(
    context: typer.Context,
    history: HistoryOptions,
    chain: ChainOptions,
    log: LogOptions,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON object.")] = False,
) -> None:
    """Check that each signed history extends the one before: exit status 0 it does, 1 it does not, 2 impossible."""
    kept, pinned = history.kept(), parse_key(history.key)
    results: list[HistoryAudit] = []

    async def main() -> None:
        result = await _audited(context.obj, history.api_url, log, chain, pinned, kept)
        results.append(result)
        if as_json:
            typer.echo(orjson.dumps({"agrees": result.agrees, "verdict": result.verdict, **asdict(result)}))
        else:
            display.console().print(view(result, kept, pinned))

    run_once(main)
    if not results[0].agrees:
        raise typer.Exit(DIFFERENT)


async def _audited(
    servers: Servers,
    api_url: str | None,
    log: LogOptions,
    chain: ChainOptions,
    pinned: Hotkey | None,
    kept: Kept | None,
) -> HistoryAudit:
    if api_url is not None:
        async with aiohttp.ClientSession() as session:
            with bar("cycles") as tell:
                return await ApiHistory(session, api_url).audit(pinned, kept, chain, tell)
    async with open_log(servers, log, "audit") as connection:
        with bar("log") as tell:
            return await audit_log(JetStreamLog(connection), pinned, kept, chain, tell)


def view(result: HistoryAudit, kept: Kept | None, pinned: Hotkey | None) -> RenderableType:
    """An audit for a terminal."""
    if result.difference is not None:
        return Text(f"DIFFERENT: {result.verdict}", style="bold red")
    signed = f"cycles {result.first} to {result.last}, signed; the key in force: {result.key}"
    lines = [signed if pinned else f"{signed}; {UNPINNED}"]
    if kept is not None:
        lines.append(f"what was kept of cycle {kept.cycle} is still its beginning")
    lines += result.notes
    if result.unsigned:
        lines.append("after them a cycle has ended that is not signed yet")
    lines.append(f"keep for the next time: --since {result.last} --root {result.root}")
    return Group(*map(Text, lines), Text(result.verdict, style="bold green"))
