"""`kinitro identity`: the keys with which the backend signs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from consumers.signing.identity import announcements, rotate
from events import display
from events.cli import LogOptions, Misused, open_log, options, run_once
from events.jetstream import JetStreamLog
from events.keys import SigningKey, read_or_create_signing_key


@dataclass(frozen=True)
class SigningOptions:
    """With which key the backend signs."""

    signing_key_file: Annotated[
        Path | None,
        typer.Option(
            envvar="KINITRO_BACKEND_SIGNING_KEY_FILE",
            help="Key that signs roots and weights; made on first use in KINITRO_HOME when absent.",
        ),
    ] = None

    def path(self, home: Path) -> Path:
        return self.signing_key_file or home / "signing.key"

    def key(self, home: Path) -> SigningKey:
        """The key, made where there is none.

        Raises:
            SecretRefused: the key's file.
        """
        return read_or_create_signing_key(self.path(home))


identity = typer.Typer(help="The keys with which the backend signs.", no_args_is_help=True)


@identity.command()
@options
def show(context: typer.Context, log: LogOptions) -> None:
    """List all keys that the log announces, newest first; the first line is the one in force."""

    async def main() -> None:
        async with open_log(context.obj, log, "identity show") as connection:
            found = await announcements(JetStreamLog(connection))
            if not found:
                raise Misused("the log announces no key yet: the scheduler announces its own when it starts")
            table = Table(box=None, header_style="dim")
            for name in ("", "key", "announced", "sequence", "state"):
                table.add_column(name)
            for each in reversed(found):
                state = "in force" if each is found[-1] else "replaced"
                key = each.event.signature.key
                table.add_row(
                    str(each.event.ordinal), key, f"{each.time:%Y-%m-%d %H:%M:%S}", str(each.sequence), state
                )
            display.console().print(table)

    run_once(main)


@identity.command("rotate")
@options
def rotate_key(
    context: typer.Context,
    log: LogOptions,
    signing: SigningOptions,
    new_key_file: Annotated[Path, typer.Option(help="The next key; made where there is no such file.")],
) -> None:
    """Announce another key, signed by the one in force; then restart the scheduler with its file."""

    async def main() -> None:
        old_path = signing.path(context.obj.home)
        if not old_path.exists():
            raise Misused(f"{old_path}: there is no such file; name that of the key in force with --signing-key-file")
        old, new = signing.key(context.obj.home), read_or_create_signing_key(new_key_file)
        async with open_log(context.obj, log, "identity rotate") as connection:
            announced = await rotate(JetStreamLog(connection), old, new)
        display.console().print(
            f"key {announced.ordinal} is {new.address}; now restart the scheduler with"
            f" --signing-key-file {new_key_file}, and keep {old_path} where nobody finds it, or destroy it"
        )

    run_once(main)
