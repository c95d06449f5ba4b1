"""What `kinitro scheduler` does for producers: from options to discovery and cycles."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from events.chain.link import ChainLink
from events.cli import Misused
from events.connection import Connection
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.metrics import Appended, ObservedLog
from events.verification import InconclusiveReason
from events.verification_options import VerificationOptions
from producers.blocks import BlockSource, ClockBlocks
from producers.cycles.master_key import read_or_create_master_key
from producers.cycles.scheduler import run_cycle_once, run_scheduler
from producers.cycles.settings import SchedulerSettings, VerificationSettings
from producers.discovery.roster import RosterSource, read_roster
from producers.discovery.source import MinerSource
from producers.discovery.subtensor import SubtensorBlocks, SubtensorMetagraph
from producers.discovery.subtensor_source import SubtensorSource
from producers.options import ChainPlace, CycleOptions, NetworkOptions, told
from producers.progress import Checked, DiscoveryTrouble, LeftOut, Progress, Retrying
from producers.scoring_options import ScoringOptions

GENESIS = datetime(2026, 1, 1, tzinfo=UTC)
"""Block 0 of networks that have no chain."""

TELL_AGAIN_S = 60.0
"""After so long the same trouble with the chain is told again."""

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
    verification: VerificationOptions = field(default_factory=VerificationOptions)

    def settings(self) -> SchedulerSettings:
        """Validated, with the master key.

        Raises:
            Misused: options that do not fit together.
            SecretRefused: the key's file.
        """
        place = self.network.place()
        key = read_or_create_master_key(self.cycles.master_key_file or self.home / "master.key")
        try:
            return SchedulerSettings(
                network=self.network.network,
                netuid=place.netuid if isinstance(place, ChainPlace) else None,
                environments=self.cycles.environment_ids(),
                episodes_per_env=self.cycles.episodes_per_env,
                terms=self.cycles.terms(),
                rules=self.scoring.rules(),
                verification=_verification(self.verification),
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
        place = self.network.place()
        self.settings()
        if isinstance(place, Path):
            read_roster(place)


def _verification(options: VerificationOptions) -> VerificationSettings | None:
    if not options.verification:
        return None
    return VerificationSettings(
        rate=options.verification_rate,
        tolerance=options.verification_tolerance,
        samples=options.verification_samples,
        on_failure=options.verification_on_failure,
        within_s=options.verification_within,
    )


async def schedule(
    connection: Connection, scheduling: Scheduling, until_cycle: CycleId | None, *, told: Sequence[Appended] = ()
) -> None:
    """Discovers miners and conducts cycles: for ever, or until cycle number `until_cycle` has ended.

    `told` hears of what is appended on the way.

    Raises:
        Misused, SecretRefused: options.
        CycleError, LogError, QueueError, CodecError: as `run_scheduler`.
    """
    place = scheduling.network.place()
    if isinstance(place, Path):
        clock = ClockBlocks(scheduling.network.network, GENESIS)
        await _run(connection, scheduling, until_cycle, clock, RosterSource(place, clock), told)
        return
    link = ChainLink(place.endpoints)
    tell = _Teller()
    blocks = SubtensorBlocks(link, tell=tell)
    miners = SubtensorSource(SubtensorMetagraph(link, place.netuid, tell=tell))
    try:
        await _run(connection, scheduling, until_cycle, blocks, miners, told)
    finally:
        await link.close()


async def _run(
    connection: Connection,
    scheduling: Scheduling,
    until_cycle: CycleId | None,
    blocks: BlockSource,
    miners: MinerSource,
    told: Sequence[Appended],
) -> None:
    events_log = ObservedLog(JetStreamLog(connection), told)
    queue, settings = JetStreamQueue(connection), scheduling.settings()
    if until_cycle is None:
        await run_scheduler(
            log=events_log, queue=queue, blocks=blocks, miners=miners, settings=settings, report=_report
        )
    else:
        await run_cycle_once(
            until_cycle, log=events_log, queue=queue, blocks=blocks, miners=miners, settings=settings, report=_report
        )


class _Teller:
    """Tells of chain trouble, and of the same not again and again."""

    def __init__(self) -> None:
        self._reason, self._at_s = "", -math.inf

    def __call__(self, trouble: Exception) -> None:
        reason, now_s = str(trouble), time.monotonic()
        if reason != self._reason or now_s - self._at_s >= TELL_AGAIN_S:
            self._reason, self._at_s = reason, now_s
            _report(Retrying(reason))


def _report(progress: Progress) -> None:
    fields = {name: to_jsonable_python(getattr(progress, name)) for name in progress.__dataclass_fields__}
    tell = log.warning if _is_trouble(progress) else log.info
    tell(type(progress).__name__, **fields)


def _is_trouble(progress: Progress) -> bool:
    if isinstance(progress, Checked):
        return progress.reason == InconclusiveReason.TOO_LATE
    return isinstance(progress, DiscoveryTrouble | LeftOut | Retrying)
