"""What the API is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Where the read models and the log are, and how patient to be with them."""

    database_url: str
    nats_url: str
    eval_interval_s: float = 3600.0
    """From plan to plan, as the scheduler has it; for `next_eval_in_seconds` only."""
    database_timeout_s: float = 5.0
    """For each answer: all its queries together."""
    log_timeout_s: float = 2.0
    export_stall_s: float = 30.0
    """How long an export may stand still, be it for the log or for its reader, before it is broken off."""
    requests_per_minute: int = 6_000
    """Of one client; 0 for no limit. Loopback has none."""
    trusted_proxies: str = "127.0.0.1,::1"
    """Addresses and networks of the proxies whose `X-Forwarded-For` names the client, separated by commas."""
    lag_max: int = 10_000
    """How many events a projection may be behind the log before `/readyz` says so."""
    streams_max: int = 2_000
    """How many readers of live streams are admitted at once."""
