"""Whom to tell of what happens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from yarl import URL

from events.cli import Misused
from events.secret_file import read_or_create_secret


@dataclass(frozen=True)
class WebhookOptions:
    """Nobody is told unless a URL is named."""

    webhook_url: Annotated[
        list[str] | None,
        typer.Option(
            envvar="KINITRO_BACKEND_WEBHOOK_URL",
            help="Tell this http(s) URL of cycles, weights and alarms (Standard Webhooks); may be repeated.",
        ),
    ] = None
    webhook_secret_file: Annotated[
        Path | None,
        typer.Option(
            envvar="KINITRO_BACKEND_WEBHOOK_SECRET_FILE",
            help="Secret that signs webhooks; made on first use in KINITRO_HOME when absent.",
        ),
    ] = None

    def urls(self) -> tuple[str, ...]:
        """The endpoints.

        Raises:
            Misused: one is no http or https URL.
        """
        for number, url in enumerate(self.webhook_url or (), start=1):
            if not _is_usable(url):
                raise Misused(f"--webhook-url, number {number}: not an http or https URL; write https://host/path")
        return tuple(self.webhook_url or ())

    def secret(self, home: Path) -> bytes:
        """The key of the signatures, made where there is none.

        Raises:
            SecretRefused: the secret's file.
        """
        return read_or_create_secret(self.webhook_secret_file or home / "webhook.secret", "webhook secret")


def _is_usable(text: str) -> bool:
    try:
        url = URL(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.host)
