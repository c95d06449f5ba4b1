"""What `kinitro scheduler` does for producers: from options to discovery and cycles."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from events.cli import Misused
from events.connection import Connection
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from producers.blocks import ClockBlocks
from producers.cycles.master_key import read_or_create_master_key
from producers.cycles.scheduler import run_cycle_once, run_scheduler
from producers.cycles.settings import SchedulerSettings
from producers.discovery.roster import RosterSource, read_roster
from producers.options import CycleOptions, NetworkOptions, told
from producers.progress import DiscoveryTrouble, LeftOut, Progress, Retrying
from producers.scoring_options import ScoringOptions

GENESIS = datetime(2026, 1, 1, tzinfo=UTC)
"""Block 0 of networks that have no chain."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Scheduling:
    """Everything that decides what the scheduler does."""

    network: NetworkOptions
    cycles: CycleOptions
    scoring: ScoringOptions
    home: Path
    versions: dict[str, str]
    """Of everything that affects physics; the caller knows them, for producers do not import the simulator."""

    def settings(self) -> SchedulerSettings:
        """Validated, with the master key.

        Raises:
            Misused: options that do not fit together.
            SecretRefused: the key's file.
        """
        key = read_or_create_master_key(self.cycles.master_key_file or self.home / "master.key")
        try:
            return SchedulerSettings(
                network=self.network.network,
                environments=self.cycles.environment_ids(),
                episodes_per_env=self.cycles.episodes_per_env,
                terms=self.cycles.terms(),
                rules=self.scoring.rules(),
                deadline_s=self.cycles.cycle_deadline,
                eval_interval_s=self.cycles.eval_interval,
                master_key=key,
                endpoint_key=self.network.endpoint_key(self.home),
                versions=self.versions,
            )
        except ValidationError as error:
            raise Misused(told(error)) from error

    def check(self) -> None:
        """What can be said before anything is started.

        Raises:
            Misused, SecretRefused, RosterRefused: an option, or the file that it names.
        """
        self.settings()
        read_roster(self.roster())

    def roster(self) -> Path:
        """The file of miners.

        Raises:
            Misused: none was given.
        """
        if self.network.roster is None:
            raise Misused(
                "no miners: name a roster file with --roster or KINITRO_BACKEND_ROSTER (its format is in the README)"
            )
        return self.network.roster


async def schedule(connection: Connection, scheduling: Scheduling, until_cycle: CycleId | None) -> None:
    """Discovers miners and conducts cycles: for ever, or until cycle number `until_cycle` has ended.

    Raises:
        Misused, SecretRefused: options.
        CycleError, LogError, QueueError, CodecError: as `run_scheduler`.
    """
    blocks = ClockBlocks(scheduling.network.network, GENESIS)
    roster = RosterSource(scheduling.roster(), blocks)
    events_log, queue, settings = JetStreamLog(connection), JetStreamQueue(connection), scheduling.settings()
    if until_cycle is None:
        await run_scheduler(
            log=events_log, queue=queue, blocks=blocks, miners=roster, settings=settings, report=_report
        )
    else:
        await run_cycle_once(
            until_cycle, log=events_log, queue=queue, blocks=blocks, miners=roster, settings=settings, report=_report
        )


def _report(progress: Progress) -> None:
    fields = {name: to_jsonable_python(getattr(progress, name)) for name in progress.__dataclass_fields__}
    tell = log.warning if isinstance(progress, DiscoveryTrouble | LeftOut | Retrying) else log.info
    tell(type(progress).__name__, **fields)
