"""From where a cycle comes: the same for each command that looks at one from outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True)
class CycleSourceOptions:
    """From where the events come, where it is not the log."""

    api_url: Annotated[
        str | None, typer.Option(help="A public API, instead of the log: needs no access to NATS.")
    ] = None
    file: Annotated[
        Path | None, typer.Option(help="An export of the cycle, also compressed; - is standard input.")
    ] = None
