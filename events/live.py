"""What is told of an episode while it runs, over core NATS: never stored, and only while somebody asks for it.

| subject                                           | body                                                         |
|---------------------------------------------------|--------------------------------------------------------------|
| `live.wanted.<cycle>.<uid>.<family>.<task>.<i>`   | `frames` or nothing; sent every few seconds by who reads     |
| `live.episode.<cycle>.<uid>.<family>.<task>.<i>`  | `Step` as JSON; sent by the worker that runs the episode     |

A worker forgets a wish after `WANTED_S`. Messages may be lost, and two workers may both tell of an episode for a
while, when a lease has run out: this is to look at. What counts is the outcome in the log.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from events.ids import EpisodeKey

WANTED_S = 10.0
ASK_S = 3.0
"""How often a reader repeats its wish: two of them may be lost."""

WISHES = "live.wanted.>"
FRAMES = b"frames"
_WISH, _STEPS = "live.wanted.", "live.episode."


class Detail(StrEnum):
    """How much workers tell, at most. Each includes the one before it."""

    STEPS = "steps"
    """How far the episode is."""
    REWARDS = "rewards"
    """What each step brought: tells a policy what it is not given, how near it is."""
    FRAMES = "frames"
    """What a camera sees: tells others, who have the same episode before them, where things are."""


class Frame(BaseModel):
    """One camera's picture."""

    model_config = ConfigDict(frozen=True)

    camera: str
    jpeg_base64: str


class Step(BaseModel):
    """Where an episode is."""

    model_config = ConfigDict(frozen=True)

    worker: str
    step: int
    """Steps taken, 1, 2, 3, ..."""
    steps_max: int
    done: bool
    """The last one; its outcome is not in the log yet."""
    reward: float | None = None
    """Of this step; None where it is not told, as the next two."""
    total_reward: float | None = None
    frame: Frame | None = None


def wish(key: EpisodeKey) -> str:
    return _WISH + key.id


def steps(key: EpisodeKey) -> str:
    return _STEPS + key.id


def wished(subject: str) -> str:
    """The episode id in the subject of a wish."""
    return subject.removeprefix(_WISH)
