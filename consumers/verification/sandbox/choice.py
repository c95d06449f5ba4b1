"""Which sandbox this machine has."""

from __future__ import annotations

from collections.abc import Callable

from consumers.verification.sandbox.docker import probe_docker
from consumers.verification.sandbox.namespaces import probe
from consumers.verification.sandbox.protocol import NoSandbox, Sandbox
from sim.runtime.docker import ENGINE

Tell = Callable[[str], None]


async def choose_sandbox(engine: str = ENGINE, tell: Tell = lambda _: None) -> Sandbox | NoSandbox:
    """Containers where a Docker engine can run them, else the kernel's own sandbox: one that has just run a policy.

    `engine`: URL. `tell` is told why there are no containers. Asked anew at each check: what a machine allows can
    change.
    """
    docker = await probe_docker(engine)
    if not isinstance(docker, NoSandbox):
        return docker
    kernel = await probe()
    if not isinstance(kernel, NoSandbox):
        tell(docker.reason)
        return kernel
    return NoSandbox(f"{docker.reason}; and without Docker: {kernel.reason}")
