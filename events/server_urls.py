"""The URLs of NATS servers: user and password are in them, and so is whom to trust, as in PostgreSQL's.

`tls://worker:secret@nats.example:4222?ca_file=/etc/kinitro/ca.pem`; several are separated by commas, and have one
user. What means something in a URL is percent-encoded in a password: `%40` is `@`. All that a connection needs is in
this one string, which is passed on; messages and logs get `without_credentials` of it.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from events.log import BadLogUrl

SCHEMES = ("nats", "tls", "ws", "wss")
"""What the URL of a server may begin with."""

ENCRYPTED = ("tls", "wss")
_CA = "ca_file"


@dataclass(frozen=True)
class ServerUrls:
    """What the client library is told."""

    urls: list[str]
    """Without users and passwords."""
    user: str | None
    password: str | None
    """None: `user`, if there is one, is a token."""
    authorities: tuple[Path, ...]
    """Files of those who sign the servers' certificates; none: the system's."""
    tls: ssl.SSLContext | None
    handshake_first: bool
    """A server that speaks before the handshake could be somebody who says that there is no TLS here, and listens."""

    @property
    def options(self) -> dict[str, Any]:
        """For `nats.connect`, besides the servers."""
        who = {"token": self.user} if self.password is None else {"user": self.user, "password": self.password}
        return who | ({"tls": self.tls, "tls_handshake_first": self.handshake_first} if self.tls else {})


def parse(url: str) -> ServerUrls:
    """What `url` says.

    Raises:
        BadLogUrl: one of them is not the URL of a NATS server, or they do not go together.
    """
    given = [each.strip() for each in url.split(",")]
    for each in given:
        _check(each, whole=url)
    parts = [urlsplit(each) for each in given]
    schemes = {part.scheme for part in parts}
    if schemes & set(ENCRYPTED) and not schemes <= set(ENCRYPTED):
        raise BadLogUrl(f"{_shown(given)}: some with TLS, some without; write tls:// for all, or nats:// for all")
    encrypted = bool(schemes & set(ENCRYPTED))
    authorities = {path for part in parts for path in parse_qs(part.query).get(_CA, [])}
    if authorities and not encrypted:
        raise BadLogUrl(f"{_shown(given)}: an authority to trust is of no use without TLS; write tls://host:port")
    for path in authorities:
        if not Path(path).is_absolute():  # other processes get this URL, in other directories
            raise BadLogUrl(f"{_CA}={path}: write the whole path, from / on")
    users = {(part.username, part.password) for part in parts if part.username}
    if len(users) > 1:
        raise BadLogUrl(f"{_shown(given)}: one user with one password for all servers, not {len(users)}")
    user, password = users.pop() if users else (None, None)
    return ServerUrls(
        [part._replace(netloc=part.netloc.rpartition("@")[2], query="").geturl() for part in parts],
        unquote(user) if user else None,
        unquote(password) if password is not None else None,
        tuple(map(Path, sorted(authorities))),
        _context(authorities) if encrypted else None,
        "tls" in schemes,
    )


def trusting(url: str, ca_file: Path) -> str:
    """These URLs, with the file of the authority that signed the servers' certificates, where none is there yet."""
    asked = f"{_CA}={quote(str(ca_file.absolute()))}"
    given = [each.strip() for each in url.split(",")]
    return ",".join(each if "?" in each else f"{each.rstrip('/')}?{asked}" for each in given)


def without_credentials(url: str) -> str:
    return url.rpartition("@")[2].rpartition("//")[2].partition("?")[0]


def _shown(urls: list[str]) -> str:
    return ", ".join(map(without_credentials, urls))


def _check(url: str, *, whole: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port out of range, an address that is none
        usable = False
    if usable:
        return
    if "@" in whole and "@" not in url:
        raise BadLogUrl("the URL of a NATS server has a comma in its password, which separates URLs: write it as %2C")
    scheme, separator, _ = url.partition("://")
    shown = f"{scheme}{separator}" if separator and scheme.isalnum() else ""  # nothing that may be a password
    raise BadLogUrl(
        f"{shown + without_credentials(url)!r} is not the URL of a NATS server; write it as nats://host:port"
    )


def _context(authorities: set[str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=next(iter(authorities), None))
        for other in authorities:
            context.load_verify_locations(other)
    except (OSError, ssl.SSLError) as error:
        raise BadLogUrl(
            f"--nats-ca {', '.join(sorted(authorities))}: no certificates to trust in it ({error}); name a PEM file"
        ) from error
    return context
