"""The streams and the durables of workers and verifiers: how they are configured, and the check that they still are.

| stream                 | holds                     | kept                                                    |
|------------------------|---------------------------|---------------------------------------------------------|
| `KINITRO_EVENTS`       | the log                   | for ever: no deletes, no purges, no limits              |
| `KINITRO_TASKS`        | episodes to be run, and   | until somebody has acknowledged; one task per episode   |
|                        | miners to be checked      | and check                                               |
| `KINITRO_DEAD_LETTERS` | tasks that nobody here    | for a month, and 10,000 of them at most; the newest of  |
|                        | could take                | each task                                               |
| `KINITRO_TRACES`       | recordings of episodes    | for some days, and no more than some bytes              |

What is not listed here is left to the server; what is listed is compared with what the server does, at every start.
The limits of `KINITRO_TRACES` alone are corrected instead: workers bring them, and the last that started is right.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from events import subjects
from events.connection import Connection, Forbidden, NoAnswer, Refused
from events.log import AccessDenied, LogUnavailable, StreamMismatch
from events.patience import Patience

EVENTS = "KINITRO_EVENTS"
TASKS = "KINITRO_TASKS"
TRACES = "KINITRO_TRACES"
DEAD_LETTERS = "KINITRO_DEAD_LETTERS"
WORKERS = "workers"
"""The durable consumer of `TASKS` that all workers share: it has the episodes."""
VERIFIERS = "verifiers"
"""And the one of the verifiers, which has the checks."""

LOG_ID = "kinitro.log_id"
"""Metadata of `EVENTS`: a random id, given when the log is created, that survives backup and restore."""

ACK_WAIT_S = 10.0
"""How long a worker may be silent before its task goes to another one. It says `in_progress` well within it."""

TASKS_MAX = 2_000_000
"""256 miners x 50 environments x 50 episodes three times over."""

TASK_BYTES_MAX = 65_536
LETTERS_MAX = 10_000
"""15 MB, at 1,500 bytes each. No limit in bytes: the server wants those free, and else there was no such stream."""
LETTER_BYTES_MAX = 2 * TASK_BYTES_MAX
"""A task in base64, and what is told about it."""
LETTER_AGE_DAYS = 30
TRACE_BYTES_MAX = 1_000_000
"""Of one recording: an episode of 500 steps has about 12,000 bytes. Any server takes this much in one message."""

STREAM_NOT_FOUND = 10_059
STREAM_EXISTS = 10_058
NO_ROOM = 10_047
"""The server keeps free what a stream may come to hold, and has no more of it."""

Settings = Mapping[str, Any]

_NEVER_LOSES: Settings = {
    "max_msgs": -1,
    "max_bytes": -1,
    "max_age": 0,
    "max_msgs_per_subject": -1,
    "max_msg_size": -1,
    "deny_delete": True,
    "deny_purge": True,
    "allow_rollup_hdrs": False,
    "allow_msg_ttl": False,
}

_NOTHING_ELSE: Settings = {
    "no_ack": False,
    "sealed": False,
    "persist_mode": None,
    "mirror": None,
    "sources": None,
    "republish": None,
    "subject_transform": None,
}

_UNCHANGEABLE = {"retention", "storage", "persist_mode", "mirror", "sealed"}
"""Settings that the server does not let anybody edit into what we expect."""


_LIMITS = ("max_age", "max_bytes")


def events_settings(replicas: int) -> Settings:
    """`KINITRO_EVENTS`. Writers expect an empty subject: the window for duplicates has nothing to do."""
    return {
        "name": EVENTS,
        "subjects": ["evt.>"],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "new",
        "duplicate_window": _ns(1.0),
        "allow_atomic": True,
        "allow_direct": True,
        **_NEVER_LOSES,
        **_NOTHING_ELSE,
    }


def tasks_settings(replicas: int) -> Settings:
    """`KINITRO_TASKS`. A second task at a subject is refused, so that queueing again is harmless.

    Written to disk as carefully as the log: nobody looks whether tasks that were queued have been lost.
    """
    return {
        "name": TASKS,
        "subjects": ["task.>"],
        "retention": "workqueue",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "new",
        "discard_new_per_subject": True,
        "max_msgs_per_subject": 1,
        "max_msgs": TASKS_MAX,
        "max_bytes": -1,
        "max_age": 0,
        "max_msg_size": TASK_BYTES_MAX,
        "duplicate_window": _ns(1.0),
        "allow_atomic": True,
        **_NOTHING_ELSE,
    }


def dead_letters_settings(replicas: int) -> Settings:
    """`KINITRO_DEAD_LETTERS`. A task that dies twice is one letter; the oldest make room for new ones."""
    return {
        "name": DEAD_LETTERS,
        "subjects": ["dead.>"],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "old",
        "max_msgs_per_subject": 1,
        "max_msgs": LETTERS_MAX,
        "max_bytes": -1,
        "max_age": _ns(LETTER_AGE_DAYS * 86_400),
        "max_msg_size": LETTER_BYTES_MAX,
        "duplicate_window": _ns(1.0),
        **_NOTHING_ELSE,
    }


@dataclass(frozen=True)
class TraceLimits:
    """How long recordings are kept, and how many bytes of them: the oldest make room for new ones."""

    age_hours: float = 72.0
    bytes_max: int = 2 * 1024**3
    """The default holds 200,000 episodes of 500 steps. The server wants this much of its disk free from the start."""


TRACES_KEPT = TraceLimits()
"""Unless an operator wants it otherwise."""


def traces_settings(replicas: int, limits: TraceLimits) -> Settings:
    """`KINITRO_TRACES`. A recording written twice is the same recording, so the second may replace the first."""
    return {
        "name": TRACES,
        "subjects": ["trace.>"],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "old",
        "max_msgs_per_subject": 1,
        "max_msgs": -1,
        "max_bytes": limits.bytes_max,
        "max_age": _ns(limits.age_hours * 3600),
        "max_msg_size": TRACE_BYTES_MAX,
        "duplicate_window": _ns(1.0),
        **_NOTHING_ELSE,
    }


def workers_settings(ack_wait_s: float) -> Settings:
    """The durable of the workers. Deliveries are unlimited: attempts are counted in events, which survive a crash."""
    return _durable(WORKERS, subjects.EPISODE_TASKS, ack_wait_s)


def verifiers_settings(ack_wait_s: float) -> Settings:
    """The durable of the verifiers; as that of the workers."""
    return _durable(VERIFIERS, subjects.CHECK_TASKS, ack_wait_s)


def _durable(name: str, subject: str, ack_wait_s: float) -> Settings:
    return {
        "durable_name": name,
        "ack_policy": "explicit",
        "ack_wait": _ns(ack_wait_s),
        "deliver_policy": "all",
        "replay_policy": "instant",
        "filter_subject": subject,
        "max_deliver": -1,
        "max_ack_pending": 50_000,
    }


async def ensure_streams(
    connection: Connection,
    *,
    replicas: int = 1,
    ack_wait_s: float = ACK_WAIT_S,
    traces: TraceLimits | None = None,
    patience_s: float = 30.0,
) -> None:
    """Creates the streams, and the durables of workers and verifiers, or checks that they are as we would have them.

    Who brings no limits for `KINITRO_TRACES` leaves that stream to those who do: the workers. Who may not create or
    change anything, on a server with an account per role, finds all there or says who is to make it.

    Raises:
        AccessDenied: something is missing, and this user may not create it.
        StreamMismatch: a stream has other settings, or the server does not accept ours.
        LogUnavailable: the server does not answer in time.
    """
    patience = Patience(patience_s)
    while True:
        try:
            await _ensure(connection, events_settings(replicas), {LOG_ID: str(uuid4())})
            await _ensure(connection, tasks_settings(replicas))
            await _ensure(connection, dead_letters_settings(replicas))
            if traces is not None:
                await _ensure_traces(connection, traces_settings(replicas, traces))
            await _ensure_durable(connection, workers_settings(ack_wait_s))
            return await _ensure_durable(connection, verifiers_settings(ack_wait_s))
        except Forbidden as error:
            raise AccessDenied(
                f"{connection.address}: {error}; if it is missing there: `kinitro scheduler` creates it at its start,"
                " as its own user or the operator"
            ) from error
        except Refused as error:
            raise StreamMismatch(f"{connection.address} refuses our streams: {error}") from error
        except NoAnswer as error:
            if not await patience.pause():
                raise LogUnavailable(f"the streams could not be checked in {patience_s:g} s: {error}") from error


async def create_traces(connection: Connection, replicas: int) -> None:
    """Makes `KINITRO_TRACES` where it is missing, for workers that may not; one that is there is left to them.

    Raises:
        NatsError: no answer, or the server does not accept it.
    """
    try:
        await _ensure_there(connection, traces_settings(replicas, TRACES_KEPT))
    except Refused as error:
        if error.code != NO_ROOM:  # a worker with smaller limits may find room
            raise


def differences(expected: Settings, actual: Settings) -> list[str]:
    """A line for each setting in `expected` that the server has otherwise: expected, actual, remedy."""
    name = expected["name"]
    lines = []
    for key, wanted in expected.items():
        given = actual.get(key)
        if (given or None) != (wanted or None):  # the server leaves out what is false, zero or empty
            remedy = _remedy(name, key, wanted, given)
            lines.append(f"{key}: expected {json.dumps(wanted)}, the stream has {json.dumps(given)}; {remedy}")
    return lines


async def _ensure(connection: Connection, settings: Settings, metadata: Mapping[str, str] | None = None) -> None:
    """`metadata` is given to a new stream; one that exists has its own values under the same names."""
    name, metadata = settings["name"], metadata or {}
    info = await _ensure_there(connection, {**settings, "metadata": metadata})
    lines = differences(settings, info["config"])
    for key in metadata.keys() - (info["config"].get("metadata") or {}).keys():
        lines.append(f"metadata: expected {key}, the stream has none; {_remedy(name, 'metadata', key, None)}")
    if lines:
        head = f"stream {name} on {connection.address} has other settings:"
        raise StreamMismatch(f"{head} {lines[0]}" if len(lines) == 1 else "\n".join([head, *lines]))


async def _ensure_there(connection: Connection, settings: Settings) -> dict[str, Any]:
    try:
        return await connection.api(f"STREAM.INFO.{settings['name']}")
    except Refused as error:
        if error.code != STREAM_NOT_FOUND:
            raise
        return await _create(connection, settings)


async def _ensure_traces(connection: Connection, settings: Settings) -> None:
    try:
        await _ensure(connection, await _correct_limits(connection, settings))
    except Refused as error:
        if error.code != NO_ROOM:
            raise
        raise StreamMismatch(
            f"stream {TRACES}: the server has not {settings['max_bytes']:,} bytes free for recordings of episodes"
            f" ({error}); keep fewer with --trace-bytes-max, or make room"
        ) from error


async def _correct_limits(connection: Connection, settings: Settings) -> Settings:
    """Who starts with other limits than last time means those recordings that are there already, too.

    Returns what the stream should be now: with its own limits, if this user may not change them.
    """
    try:
        config = (await connection.api(f"STREAM.INFO.{TRACES}"))["config"]
    except Refused as error:
        if error.code == STREAM_NOT_FOUND:
            return settings
        raise
    limits = {key: settings[key] for key in _LIMITS}
    if all(config.get(key) == wanted for key, wanted in limits.items()):
        return settings
    try:
        await connection.api(f"STREAM.UPDATE.{TRACES}", {**config, **limits})
    except Forbidden:
        return {**settings, **{key: config.get(key) for key in _LIMITS}}
    return settings


async def _create(connection: Connection, settings: Settings) -> dict[str, Any]:
    name = settings["name"]
    given = {key: value for key, value in settings.items() if value is not None}
    try:
        return await connection.api(f"STREAM.CREATE.{name}", given)
    except Refused as error:
        if error.code != STREAM_EXISTS:
            raise
        return await connection.api(f"STREAM.INFO.{name}")  # somebody else was faster


async def _ensure_durable(connection: Connection, settings: Settings) -> None:
    """Unlike a stream it holds nothing that could not be had again, so other settings are simply corrected."""
    name = settings["durable_name"]
    with contextlib.suppress(Refused):
        config = (await connection.api(f"CONSUMER.INFO.{TASKS}.{name}"))["config"]
        if all(config.get(key) == wanted for key, wanted in settings.items()):
            return
    await connection.api(
        f"CONSUMER.CREATE.{TASKS}.{name}.{settings['filter_subject']}",
        {"stream_name": TASKS, "config": {**settings, "name": name}},
    )


def _remedy(name: str, key: str, wanted: Any, given: Any) -> str:
    if key == "num_replicas":
        return f"start with {given} replicas, or run: nats stream edit {name} --replicas {wanted}"
    if name == TASKS:
        return f"tasks can be had again, so delete it and start again: nats stream rm {name}"
    if key in _UNCHANGEABLE or key == "metadata":
        return "this cannot be edited: use another server or account for it"
    return f"correct it: nats stream edit {name}"


def _ns(seconds: float) -> int:
    return round(seconds * 1_000_000_000)
