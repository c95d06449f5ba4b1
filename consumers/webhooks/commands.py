"""`kinitro webhooks`: what receivers of webhooks need to know."""

from __future__ import annotations

import typer

from consumers.webhooks.options import WebhookOptions
from consumers.webhooks.signature import spelled
from events.cli import options

webhooks = typer.Typer(help="What receivers of webhooks need to know.", no_args_is_help=True)


@webhooks.callback()
def _group() -> None:
    """Keeps `secret` a subcommand, although it is the only one."""


@webhooks.command()
@options
def secret(context: typer.Context, webhook: WebhookOptions) -> None:
    """Print the secret as receivers' libraries take it; whoever has it can sign as we do."""
    typer.echo(spelled(webhook.secret(context.obj.home)))
