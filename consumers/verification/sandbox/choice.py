"""Which sandbox this machine has."""

from __future__ import annotations

from consumers.verification.sandbox.namespaces import probe
from consumers.verification.sandbox.protocol import NoSandbox, Sandbox


async def choose_sandbox() -> Sandbox | NoSandbox:
    """One that has just run a policy of ours. Asked anew at each check: what a machine allows can change."""
    return await probe()
