"""Work to be done. A task is no fact: it can be derived again from the log at any time, and is gone once done."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError

from events.cycles import EpisodeTerms
from events.draws import WITNESSES_MAX
from events.event import Hex256, HotkeyField, Text, UidField, Value
from events.ids import CycleId, EnvId, EpisodeKey, Seed
from events.verification import Measure


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


class ProbeTask(Value):
    """A recorded episode, to be played from its reset to one step."""

    uid: UidField
    """Whose episode it was."""
    env: EnvId
    index: Annotated[int, Field(ge=0)]
    seed: Annotated[Seed, Field(ge=0, lt=2**64)]
    attempt: Annotated[int, Field(ge=1)]
    action_digest: Hex256
    """Of its recording (`events.traces`)."""
    step: Annotated[int, Field(ge=0)]
    versions: dict[str, str]
    machine: Text
    """Where it was run, and with what (`events.episodes.Evidence`)."""


class CheckTask(Value):
    """Compare one miner's endpoint with what it committed, and append the outcome. Self-contained, as above."""

    model_config = ConfigDict(hide_input_in_errors=True)

    cycle: CycleId
    uid: UidField
    hotkey: HotkeyField
    endpoint: Annotated[Text, Field(repr=False)]
    witnesses: Annotated[tuple[Text, ...], Field(repr=False, max_length=WITNESSES_MAX)]
    """Endpoints of other miners: where the miner's is silent, a connection to one shows that our network works."""
    repo: Text
    revision: Text
    environments: tuple[EnvId, ...]
    """All of the cycle."""
    probes: tuple[ProbeTask, ...]
    """In the order in which they are to be taken. There are more than samples, as a recording may be gone."""
    samples: Annotated[int, Field(ge=1)]
    tolerance: Decimal
    measure: Measure
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    """Of the comparison, where it draws (`events.draws.comparison_seed`)."""
    terms: EpisodeTerms
    within_s: Annotated[float, Field(gt=0)]
    """How long the check may take, from when it is begun."""
    cause: Text
    """Id of the event that asked for this work (`CycleSeeded`)."""
    correlation: Text
    """Id of the event that began the story (`CyclePlanned`)."""


Task = EpisodeTask | CheckTask


def trouble(error: ValidationError) -> str:
    """What is wrong with the fields of a task, in one line and without their values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, it['loc'])) or 'the whole'}: {it['msg']}" for it in found)
