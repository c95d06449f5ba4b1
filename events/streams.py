"""That the streams and durables are there, and as `events/stream_settings.py` has them; asked at every start.

The limits of `KINITRO_TRACES` alone are corrected where they differ: workers bring them, and the last that started is
right.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from events.connection import Connection, Forbidden, NoAnswer, Refused
from events.log import AccessDenied, LogUnavailable, StreamMismatch
from events.patience import Patience
from events.stream_settings import (
    ACK_WAIT_S,
    LOG_ID,
    TASKS,
    TRACES,
    TRACES_KEPT,
    Settings,
    TraceLimits,
    dead_letters_settings,
    events_settings,
    tasks_settings,
    traces_settings,
    verifiers_settings,
    workers_settings,
)

STREAM_NOT_FOUND = 10_059
STREAM_EXISTS = 10_058
NO_ROOM = 10_047
"""The server keeps free what a stream may come to hold, and has no more of it."""

_UNCHANGEABLE = {"retention", "storage", "persist_mode", "mirror", "sealed"}
"""Settings that the server does not let anybody edit into what we expect."""
_LIMITS = ("max_age", "max_bytes")


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
