"""The streams, and the durables of workers and verifiers: their names, and how they are configured.

| stream                 | holds                     | kept                                                    |
|------------------------|---------------------------|---------------------------------------------------------|
| `KINITRO_EVENTS`       | the log                   | for ever: no deletes, no purges, no limits              |
| `KINITRO_TASKS`        | episodes to be run, and   | until somebody has acknowledged; one task per episode   |
|                        | miners to be checked      | and check                                               |
| `KINITRO_DEAD_LETTERS` | tasks that nobody here    | for a month, and 10,000 of them at most; the newest of  |
|                        | could take                | each task                                               |
| `KINITRO_TRACES`       | recordings of episodes    | for some days, and no more than some bytes              |

What is not listed here is left to the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from events import subjects

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


def _ns(seconds: float) -> int:
    return round(seconds * 1_000_000_000)
