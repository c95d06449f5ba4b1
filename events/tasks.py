"""Work to be done. A task is no fact: it can be derived again from the log at any time, and is gone once done."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from events.cycles import EpisodeTerms
from events.event import HotkeyField, Text, UidField, Value
from events.ids import CycleId, EnvId, EpisodeKey, Seed


class EpisodeTask(Value):
    """Run this episode and append its outcome. Self-contained: a worker needs nothing else.

    Neither its representation nor its errors show the endpoint, which may have been sealed.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    cycle: CycleId
    uid: UidField
    hotkey: HotkeyField
    env: EnvId
    index: Annotated[int, Field(ge=0)]
    seed: Annotated[Seed, Field(ge=0, lt=2**64)]
    endpoint: Annotated[Text, Field(repr=False)]
    terms: EpisodeTerms
    cause: Text
    """Id of the event that asked for this work (`CycleSeeded`)."""
    correlation: Text
    """Id of the event that began the story (`CyclePlanned`)."""

    @property
    def key(self) -> EpisodeKey:
        return EpisodeKey(self.cycle, self.uid, self.env, self.index)
