"""Chains by their names."""

from __future__ import annotations


def endpoint_of(network: str) -> str:
    """The node behind a name (`finney`, `test`, `local`), or the URL itself.

    Raises:
        ValueError: neither a name nor a URL.
    """
    from bittensor.settings import resolve_endpoint

    return resolve_endpoint(network)[1]
