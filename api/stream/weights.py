"""Weights as `/v1/weights/latest` answers them, made from their event."""

from __future__ import annotations

from api.routes.weights import WeightsAnswer
from api.stream.entries import Entry
from api.stream.framing import ServerSentEvents
from events.codec import decode_as
from events.envelope import RecordedEvent
from events.log import Stored
from events.weights import WeightsComputed
from projectors.weights.queries import Weights

NAME = "weights"
"""The `event:` of each."""


class WeightsAsEvents(ServerSentEvents):
    """Only of events of `WeightsComputed`."""

    def event(self, entry: Entry) -> bytes:
        entry.check()
        recorded = decode_as(WeightsComputed, Stored(entry.sequence, entry.subject, entry.body))
        body = WeightsAnswer.of(weights_of(recorded)).model_dump_json().encode()
        return b"id: %d\nevent: %b\ndata: %b\n\n" % (entry.sequence, NAME.encode(), body)


def weights_of(recorded: RecordedEvent[WeightsComputed]) -> Weights:
    """What the read model holds of the event."""
    event = recorded.event
    return Weights(
        cycle=event.cycle,
        block=event.block,
        weights={it.uid: it.weight for it in sorted(event.standings, key=lambda it: it.uid)},
        u16_uids=list(event.weights_u16.uids),
        u16_values=list(event.weights_u16.values),
        merkle_root=event.merkle_root,
        created_at=recorded.time,
        event_id=recorded.id,
        sequence=recorded.sequence,
    )
