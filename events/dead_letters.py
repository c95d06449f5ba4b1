"""Tasks that nobody could take, kept on `KINITRO_DEAD_LETTERS` for an operator to look at.

A letter is no fact: whatever becomes of its episode or check is in the log. It holds the task as it was queued, with
an endpoint that may have been sealed, so it is shown through `events.concealing` only.

DeadLetterError
├── LettersUnavailable    no answer in time; ask again
└── LetterNotKept         the letter could not be stored; the message says why
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from events import frames, lookup, subjects
from events.connection import Connection, NatsError, NoAnswer, Refused
from events.for_people import ForPeople
from events.log import Stored
from events.stream_settings import DEAD_LETTERS
from events.streams import STREAM_NOT_FOUND

T = TypeVar("T")

PATIENCE_S = 10.0
ABOUT_DEAD_LETTERS = "By the queue: tasks that nobody could take and nobody has dealt with; see `kinitro tasks list`."
REASON_MAX = 2_000
"""Characters of a reason that are kept."""


class DeadLetterError(ForPeople):
    """The dead letters could not be read or changed."""


class LettersUnavailable(DeadLetterError):
    """No answer in time; ask again."""


class LetterNotKept(DeadLetterError):
    """Nobody knows of this task but the queue: it must stay there."""


class DeadLetter(BaseModel):
    """A task that was given up, and why. Fields of newer versions are passed over."""

    model_config = ConfigDict(
        frozen=True, hide_input_in_errors=True, ser_json_bytes="base64", val_json_bytes="base64"
    )

    reason: str
    worker: str
    """Who gave it up."""
    since: AwareDatetime
    """When it was first given up."""
    at: AwareDatetime
    """And when last."""
    times: Annotated[int, Field(ge=1)] = 1
    """How often, since this letter is here."""
    deliveries: Annotated[int, Field(ge=0)]
    """How often the queue had delivered it then, as far as the server remembers."""
    body: Annotated[bytes, Field(repr=False)]
    """The task's own bytes."""


class Filed(BaseModel):
    """A letter in its place."""

    model_config = ConfigDict(frozen=True)

    number: int
    """Its sequence in the stream: another one whenever the task dies again."""
    task: str
    """The task's subject on the work queue."""
    letter: DeadLetter


class DeadLetters:
    """The stream `KINITRO_DEAD_LETTERS`, which `ensure_streams` has created or checked."""

    def __init__(self, connection: Connection, *, patience_s: float = PATIENCE_S) -> None:
        self._connection = connection
        self._patience_s = patience_s

    async def keep(self, task: str, body: bytes, *, reason: str, worker: str, deliveries: int) -> None:
        """Returns once the letter is on disk, in the place of an earlier one of the same task.

        `task`: its subject on the work queue.

        Raises:
            LettersUnavailable: no answer in time; repeating it is harmless.
            LetterNotKept: the server refuses it.
        """
        now = datetime.now(UTC)
        before = await self.find(task)
        letter = DeadLetter(
            reason=reason[:REASON_MAX],
            worker=worker,
            since=before.letter.since if before else now,
            at=now,
            times=before.letter.times + 1 if before else 1,
            deliveries=deliveries,
            body=body,
        )
        subject, text = subjects.dead_letter(task), letter.model_dump_json().encode()
        try:
            await lookup.until_answered(
                lambda: self._connection.ask(lambda reply: frames.request(subject, reply, text)), self._patience_s
            )
        except Refused as error:
            raise LetterNotKept(f"{subject}: {len(text)} bytes refused: {error}") from error
        except NoAnswer as error:
            raise LettersUnavailable(f"{subject}: no answer in {self._patience_s:g} s: {error}") from error

    async def count(self) -> int:
        """How many there are.

        Raises:
            LettersUnavailable: no answer in time.
        """
        info = await self._api(f"STREAM.INFO.{DEAD_LETTERS}")
        return int(info["state"]["messages"])

    async def find(self, which: str | int) -> Filed | None:
        """The letter of a task, by the task's subject, or the one of this number.

        Raises:
            LettersUnavailable: no answer in time.
        """
        if isinstance(which, str):
            filed = await self._get({"last_by_subj": subjects.dead_letter(which)})
            return filed if filed and filed.task == which else None  # the server takes a wildcard for one
        return await self._get({"seq": which}) if which > 0 else None

    async def all(self) -> AsyncIterator[Filed]:
        """Those that are here, the oldest first.

        Raises:
            LettersUnavailable: no answer in time.
        """
        last = int((await self._api(f"STREAM.INFO.{DEAD_LETTERS}"))["state"]["last_seq"])
        position = 0
        while position < last:
            filed = await self._get({"seq": position + 1, "next_by_subj": subjects.DEAD_LETTERS})
            if filed is None or filed.number > last:
                return
            yield filed
            position = filed.number

    async def remove(self, filed: Filed) -> None:
        """Removes this letter and no newer one of the same task. One that is gone is no trouble.

        Raises:
            LettersUnavailable: no answer in time.
        """
        try:
            await self._api(f"STREAM.MSG.DELETE.{DEAD_LETTERS}", {"seq": filed.number})
        except LettersUnavailable:
            if await self.find(filed.number) is not None:
                raise

    async def _get(self, which: dict[str, Any]) -> Filed | None:
        found = await self._asked(lambda: lookup.message(self._connection, which, stream=DEAD_LETTERS))
        return _filed(found.stored) if found else None

    async def _api(self, call: str, request: dict[str, Any] | None = None) -> dict[str, Any]:
        return await self._asked(lambda: self._connection.api(call, request))

    async def _asked(self, question: Callable[[], Awaitable[T]]) -> T:
        try:
            return await lookup.until_answered(question, self._patience_s)
        except NatsError as error:
            raise _unavailable(error) from error


def _unavailable(error: NatsError) -> LettersUnavailable:
    if isinstance(error, Refused) and error.code == STREAM_NOT_FOUND:
        return LettersUnavailable(f"there is no stream {DEAD_LETTERS}: start the backend, which creates it")
    return LettersUnavailable(f"the dead letters cannot be had: {error}")


def _filed(stored: Stored) -> Filed:
    task = stored.subject.removeprefix(subjects.DEAD)
    try:
        letter = DeadLetter.model_validate_json(stored.body)
    except ValidationError:
        nobody = datetime.fromtimestamp(0, UTC)
        letter = DeadLetter(
            reason="this is no letter of ours: was it written by another version, or by hand?",
            worker="unknown",
            since=nobody,
            at=nobody,
            deliveries=0,
            body=stored.body,
        )
    return Filed(number=stored.sequence, task=task, letter=letter)
