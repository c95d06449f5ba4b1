"""`kinitro crypto`: the key pair for which miners seal their endpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from events.cli import Misused, options
from events.sealed import TITLE, EndpointKey, parse_endpoint_key, read_endpoint_key
from events.secret_file import create_secret

VARIABLE = "KINITRO_BACKEND_PRIVATE_KEY"
FILE_NAME = "endpoint.key"


@dataclass(frozen=True)
class EndpointKeyOptions:
    """With which key endpoints are opened that miners have sealed."""

    private_key_file: Annotated[
        Path | None,
        typer.Option(
            envvar=f"{VARIABLE}_FILE",
            help=f"Key that opens encrypted endpoints; {FILE_NAME} in KINITRO_HOME, if there is one, when absent.",
        ),
    ] = None
    private_key: Annotated[
        str | None,
        typer.Option(
            envvar=VARIABLE, hidden=True, help="The key itself; a variable, for other users see command lines."
        ),
    ] = field(default=None, repr=False)

    def endpoint_key(self, home: Path) -> EndpointKey | None:
        """The key; None where none was given and there is no file of it.

        Raises:
            Misused: two were given.
            SecretRefused: the one that was given.
        """
        if self.private_key is not None and self.private_key_file is not None:
            raise Misused(f"two keys were given: set {VARIABLE} or {VARIABLE}_FILE, not both")
        if self.private_key is not None:
            return parse_endpoint_key(self.private_key, VARIABLE)
        if self.private_key_file is None and not (home / FILE_NAME).exists():
            return None
        return read_endpoint_key(self.private_key_file or home / FILE_NAME)


crypto = typer.Typer(help="The key pair for which miners encrypt their endpoints.", no_args_is_help=True)


@crypto.command("generate-keypair")
def generate_keypair(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option(help=f"File of the private key, which must not exist; {FILE_NAME} in KINITRO_HOME.")
    ] = None,
) -> None:
    """Make a private key that only its owner may read, and print the public key, which miners need."""
    path = out or context.obj.home / FILE_NAME
    key = EndpointKey(create_secret(path, TITLE))
    typer.echo(f"private key: {path}", err=True)
    typer.echo("public key, to be published for miners:", err=True)
    typer.echo(key.public.hex())


@crypto.command("show-public-key")
@options
def show_public_key(context: typer.Context, key: EndpointKeyOptions) -> None:
    """Print the public key, which miners need."""
    found = key.endpoint_key(context.obj.home)
    if found is None:
        raise Misused(
            f"there is no key: set {VARIABLE} or {VARIABLE}_FILE, or make one with `kinitro crypto generate-keypair`"
        )
    typer.echo(found.public.hex())
