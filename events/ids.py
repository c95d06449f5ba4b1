"""Names of things, shared by every package. Distinct types: a uid is never passed for a cycle."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NewType, Self

Hotkey = NewType("Hotkey", str)
"""A miner's identity on the subnet (SS58). Histories are keyed by it: a uid is a slot that changes hands."""

Uid = NewType("Uid", int)
"""A slot of the subnet, 0 to 65535."""

EnvId = NewType("EnvId", str)
"""An environment as `family/task`, for example `metaworld/push-v3`."""

CycleId = NewType("CycleId", int)
"""The number of an evaluation cycle: 1, 2, 3, ... without gaps."""

EpisodeId = NewType("EpisodeId", str)
"""`cycle.uid.family.task.index`, for example `42.7.metaworld.push-v3.0`; see `EpisodeKey`."""

Seed = NewType("Seed", int)
"""The seed of an episode, an unsigned 64-bit integer. Never sent to a policy."""

TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What may stand between two dots of a subject: everything that names a thing is built from such tokens."""


@lru_cache(maxsize=1_024)  # asked for with every episode, of which there are few environments
def split_env_id(env: EnvId) -> tuple[str, str]:
    """`metaworld/push-v3` -> (`metaworld`, `push-v3`).

    Raises:
        ValueError: not two tokens with one slash between them.
    """
    family, slash, task = env.partition("/")
    if not slash or not TOKEN.fullmatch(family) or not TOKEN.fullmatch(task):
        raise ValueError(f"environment id {env!r} is not family/task, as in metaworld/push-v3")
    return family, task


@dataclass(frozen=True, slots=True, order=True)
class EpisodeKey:
    """Which episode: miner `uid` of cycle `cycle` on environment `env`, number `index` (0-based)."""

    cycle: CycleId
    uid: Uid
    env: EnvId
    index: int

    @property
    def id(self) -> EpisodeId:
        family, task = split_env_id(self.env)
        return EpisodeId(f"{self.cycle}.{self.uid}.{family}.{task}.{self.index}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `id`.

        Raises:
            ValueError: the text is not an episode id.
        """
        parts = text.split(".")
        numbers = (*parts[:2], *parts[4:])
        if len(parts) != 5 or not all(part.isascii() and part.isdigit() for part in numbers):
            raise ValueError(f"episode id {text!r} is not cycle.uid.family.task.index")
        cycle, uid, family, task, index = parts
        env = EnvId(f"{family}/{task}")
        split_env_id(env)
        return cls(CycleId(int(cycle)), Uid(int(uid)), env, int(index))
