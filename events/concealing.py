"""Shows a task without its secrets: endpoints, which may have been sealed, and seeds, which the cycle's end reveals.

What is shown is listed, not what is hidden, as the task may be of a version that we do not know: values of fields
that this version knows, and knows to be no secret.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

import orjson
from pydantic import BaseModel

from events.tasks import CheckTask, EpisodeTask

HIDDEN = "(hidden: may hold an endpoint)"
SEED, SEED_HIDDEN = "seed", "(hidden: secret until the cycle has ended)"
UNKNOWN = "(hidden: this version does not know the field)"


def concealed_task(subject: str, body: bytes) -> dict[str, Any] | None:
    """The fields of a task, those hidden that may hold a secret; None if it is no JSON object.

    `subject`: the task's on the work queue.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict):
        return None
    return _fields(document, CheckTask if subject.startswith("task.check.") else EpisodeTask)


def _fields(document: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    return {name: _value(value, model, name) for name, value in document.items()}


def _value(value: Any, model: type[BaseModel], name: str) -> Any:
    field = model.model_fields.get(name)
    if field is None:
        return UNKNOWN
    if name == SEED:
        return SEED_HIDDEN
    if not field.repr:
        return HIDDEN
    return _plain(value, next(_models(field.annotation), None))


def _plain(value: Any, within: type[BaseModel] | None) -> Any:
    """`within`: the model of which the value is, or its items are."""
    match value:
        case dict() if within is not None:
            return _fields(value, within)
        case dict():
            return {key: _plain(each, None) for key, each in value.items()}
        case list():
            return [_plain(each, within) for each in value]
        case str() if "://" in value:
            return HIDDEN
        case _:
            return value


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Those that an annotation such as `tuple[ProbeTask, ...]` speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)
