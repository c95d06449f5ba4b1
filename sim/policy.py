"""What is evaluated: something that turns observations into actions.

PolicyFailed is the one error a policy can cause. Its `code` is from the closed list `PolicyFailure`; its
`detail` is written for the miner.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from events.ids import split_env_id

if TYPE_CHECKING:
    from events.ids import EnvId
    from sim.rl_interface import Action, Observation
    from sim.spec import ActionSpec

DETAIL_CHARS_MAX = 500


class PolicyFailure(StrEnum):
    """Why a policy forfeits an episode."""

    UNREACHABLE = "unreachable"
    """No connection, no TLS session, or the connection was closed before an answer."""
    ADDRESS_REFUSED = "address_refused"
    """The endpoint is, or resolves to, an address that is not on the public internet."""
    DEADLINE_MISSED = "deadline_missed"
    """No complete answer in time."""
    HTTP_ERROR = "http_error"
    """An answer with a status other than 2xx or 3xx."""
    REDIRECT_REFUSED = "redirect_refused"
    """An answer with a 3xx status. Redirects are never followed."""
    BODY_TOO_LARGE = "body_too_large"
    """An answer of more bytes than allowed."""
    MALFORMED = "malformed"
    """An answer that is incomplete, compressed, not JSON, or not the agreed structure."""
    NON_FINITE = "non_finite"
    """An action with NaN, an infinity, or a number beyond any float."""
    WRONG_SHAPE = "wrong_shape"
    """An action channel with the wrong number of values."""


class Doubt(StrEnum):
    """Whether a policy's failure could as well be the network on our side."""

    NONE = "none"
    """The other side answered, be it with a refusal, or what was committed cannot work."""
    NAME_UNANSWERED = "name_unanswered"
    """Nobody said whether the host name exists, and the policy was not connected to in this episode."""
    NEVER_REACHED = "never_reached"
    """Nothing answered at the address, and the policy was not connected to in this episode."""
    FELL_SILENT = "fell_silent"
    """The policy was connected to, and then nothing more was heard in time."""


class PolicyFailed(Exception):
    """The policy failed the episode. `detail`: at most 500 printable characters that a miner can act on."""

    def __init__(self, code: PolicyFailure, detail: str, doubt: Doubt = Doubt.NONE) -> None:
        self.code = code
        self.detail = printable(detail)
        self.doubt = doubt
        super().__init__(f"{code}: {self.detail}")


def printable(text: str) -> str:
    """The text for any store: no control characters, no lone surrogates, at most `DETAIL_CHARS_MAX` long."""
    clean = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[: DETAIL_CHARS_MAX + 1]
    )
    return clean if len(clean) <= DETAIL_CHARS_MAX else f"{clean[: DETAIL_CHARS_MAX - 3]}..."


@dataclass(frozen=True, slots=True)
class TaskConfig:
    """What a policy learns about the episode ahead: the task and the episode's index, never its seed."""

    env: EnvId
    index: int

    def json(self) -> dict[str, Any]:
        family, task = split_env_id(self.env)
        return {"env_id": self.env, "env_name": family, "task_name": task, "task_id": self.index}


@dataclass(frozen=True, slots=True)
class Decision:
    """A policy's action, and how long the policy alone took for it, in milliseconds."""

    action: Action
    latency_ms: float


class Policy(Protocol):
    """One policy during one episode."""

    async def reset(self, task: TaskConfig, *, deadline_ms: float) -> None:
        """Announce an episode.

        Raises:
            PolicyFailed: the policy did not accept it in time.
        """
        ...

    async def act(self, observation: Observation, spec: ActionSpec, *, deadline_ms: float) -> Decision:
        """The next action, valid by the spec.

        Raises:
            PolicyFailed: no valid action in time.
        """
        ...

    async def close(self) -> None:
        """Let go of what the policy holds, such as its connection."""
        ...
