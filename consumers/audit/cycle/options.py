"""From where a cycle comes: the same for each command that looks at one from outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from events.cli import Misused


@dataclass(frozen=True)
class CycleSourceOptions:
    """From where the events come, where it is not the log."""

    api_url: Annotated[
        str | None, typer.Option(help="A public API, instead of the log: needs no access to NATS.")
    ] = None
    file: Annotated[
        Path | None, typer.Option(help="An export of the cycle, also compressed; - is standard input.")
    ] = None

    def check_log_not_named(self, context: typer.Context) -> None:
        """Refuses a log beside another source: it would not be read. The variable may name one, for other commands.

        Raises:
            Misused: one is named as an option.
        """
        given = "--file" if self.file else "--api-url" if self.api_url else None
        named = context.get_parameter_source("nats_url")
        if given and named is not None and named.name == "COMMANDLINE":
            raise Misused(f"--nats-url beside {given}: the events come from one of them; leave the other out")
