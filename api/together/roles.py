"""Roles of the backend as child processes, and what can be said before any is started."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.commands import ApiOptions
from api.server import listening
from api.together.home import Home
from events.cli import LogOptions, environment, open_log
from events.verification_options import VerificationOptions
from producers.options import CycleOptions, NetworkOptions
from producers.scheduling import Scheduling
from producers.scoring_options import ScoringOptions
from projectors.commands import DatabaseOptions
from projectors.database import check_answers
from sim.cameras import find_profile
from sim.runtime.children import Child
from sim.suite import find
from sim.versions import versions

PROGRAM = Path(__file__).resolve().parents[2] / "kinitro.py"


@dataclass(frozen=True)
class Group:
    """The roles of one backend: children with the same variables, so with the same options."""

    variables: dict[str, str]
    output: Path | None = None
    """Directory of a log file per role; None for our own standard error."""

    def role(self, name: str, *arguments: str, **how: Any) -> Child:
        """`kinitro NAME ARGUMENTS` as a child process."""
        command = (sys.executable, str(PROGRAM), name, *arguments)
        output = self.output / f"{name}.log" if self.output else None
        env = os.environ | self.variables
        return Child(name, command, env=env, output=output, death_signal=signal.SIGKILL, **how)


def variables(home: Home, *groups: object) -> dict[str, str]:
    return {"KINITRO_HOME": str(home.home), **environment(*groups)}


def scheduling(
    home: Home,
    network: NetworkOptions,
    cycles: CycleOptions,
    scoring: ScoringOptions,
    verification: VerificationOptions,
) -> Scheduling:
    for env in cycles.environment_ids():
        find(env)
    find_profile(cycles.observation_profile)
    return Scheduling(network, cycles, scoring, home.home, versions(), verification)


def check_free(address: ApiOptions) -> None:
    with listening(address.host, address.port):
        pass


async def check_servers(home: Home, log: LogOptions, database: DatabaseOptions) -> None:
    """Says once what every role would say: that a server does not answer, or has other streams than ours."""
    async with open_log(home, log, "backend"):
        pass
    assert database.database_url is not None
    await check_answers(database.database_url)
