"""The events as an AsyncAPI 3 document: one channel per kind of subject, one message per type of event.

All of it is derived: the types from the codec, the subjects from the functions that make them, the schemas from the
classes. What is described is the document that stands in the log, in exports and in streams (`events/envelope.py`).
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from events.codec import TYPES
from events.event import Event
from events.subjects import subject_of

MEDIA_TYPE: Final = "application/vnd.aai.asyncapi+json;version=3.0.0"
CLOUD_EVENT: Final = "application/cloudevents+json"
SCHEMAS: Final = "#/components/schemas"


@functools.cache
def document(version: str) -> bytes:
    """The whole document as JSON; `version` is that of the program."""
    return json.dumps(_document(version), separators=(",", ":")).encode()  # bounds of seeds exceed orjson's 64 bits


def _document(version: str) -> dict[str, Any]:
    _, schemas = models_json_schema(
        [(cls, "serialization") for cls in TYPES.values()], ref_template=f"{SCHEMAS}/{{model}}"
    )
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for name, cls in TYPES.items():
        address = address_of(cls)
        channel = channels.setdefault(_key(address), _channel(address))
        channel["messages"][name] = {"$ref": f"#/components/messages/{name}"}
        operations[f"append.{name}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{_key(address)}"},
            "messages": [{"$ref": f"#/channels/{_key(address)}/messages/{name}"}],
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "kinitro",
            "version": version,
            "description": "Every event of the log. A subject holds one event, ever; its place in the log, the"
            " sequence, stands beside it: as the `id` of a stream's event, and by the order of an export.",
        },
        "defaultContentType": CLOUD_EVENT,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {name: _message(cls) for name, cls in TYPES.items()},
            "schemas": schemas["$defs"],
        },
    }


def address_of(cls: type[Event]) -> str:
    """The subject of events of this class, with their fields in braces."""
    fields = {name: f"{{{name}}}" for name in cls.model_fields} | {"env": "family/task"}
    return subject_of(cls.model_construct(None, **fields)).replace(".family.task.", ".{family}.{task}.")


def _key(address: str) -> str:
    """A name for a channel: braces cannot stand in one."""
    return re.sub(r"[{}]", "", address)


def _channel(address: str) -> dict[str, Any]:
    parameters: dict[str, Any] = {name: {} for name in re.findall(r"{(\w+)}", address)}
    return {"address": address, "messages": {}, **({"parameters": parameters} if parameters else {})}


def _message(cls: type[Event]) -> dict[str, Any]:
    return {
        "name": cls.type,
        "title": cls.__name__,
        "summary": (cls.__doc__ or "").strip().partition("\n")[0],
        "contentType": CLOUD_EVENT,
        "payload": _payload(cls),
    }


def _payload(cls: type[Event]) -> dict[str, Any]:
    text = {"type": "string"}
    properties: dict[str, Any] = {
        "specversion": {"const": "1.0"},
        "id": text | {"description": "unique among all events"},
        "source": text | {"description": "which role wrote it"},
        "type": {"const": cls.type},
        "schemaversion": {"type": "integer", "minimum": 1, "maximum": cls.schema_version},
        "subject": text | {"description": "its address in the log"},
        "time": text | {"format": "date-time", "description": "in UTC, of the writer's clock"},
        "datacontenttype": {"const": "application/json"},
        "correlationid": text | {"description": "`id` of the event at the beginning of the story"},
        "causationid": text | {"description": "`id` of the event that led to this one"},
        "data": {"$ref": f"{SCHEMAS}/{cls.__name__}"},
    }
    required = [name for name in properties if name != "causationid"]
    return {"type": "object", "properties": properties, "required": required}
