"""The address of a policy server, as miners write it."""

from __future__ import annotations

from urllib.parse import urlsplit


def base_url(url: str) -> str:
    """The same URL, if it can be the base of a policy server's.

    Raises:
        ValueError: why it cannot.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("not an http:// or https:// URL with a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it contains credentials, which would be published; remove them")
    if parts.query or parts.fragment or any(char.isspace() for char in url):
        raise ValueError("not a base URL: remove query, fragment and spaces")
    return url
