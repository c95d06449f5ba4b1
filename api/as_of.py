"""Asking for the past: `?at_seq=` and `?at=`.

`at_seq=S` answers as if the log had ended with the event at sequence S; 0 is before the first. `at=TIME` means the
largest such S that holds nothing later: the place before the first event from a later second than `at`. The times are
those of the events, written by several clocks, so they need not rise with the sequence; that place is unique anyway,
and no later event moves it once there is one from a later second. Until then it is the newest place there is.

The answer names its sequence in the header `Kinitro-Sequence`. It is the same for ever.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http import caching
from api.problems import Problem
from projectors.checkpoint import seen_by_all
from projectors.moments import queries as moments
from projectors.moments.tables import NAME as MOMENTS

HEADER = "Kinitro-Sequence"
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class AsOf:
    """Which past is asked for, if any."""

    response: Response
    at_seq: int | None
    at: datetime | None
    """In UTC."""

    @property
    def is_past(self) -> bool:
        return self.at_seq is not None or self.at is not None

    async def sequence(self, connection: AsyncConnection, *names: str) -> int | None:
        """The sequence to answer from the projections `names` as of; None where the present is asked for.

        Raises:
            Problem: they have not come that far.
        """
        if not self.is_past:
            return None
        wanted, newest, is_fixed = await self._wanted(connection, names)
        if wanted > newest:
            detail = f"sequence {wanted} is not in the read models: the newest that can be asked for is {newest}"
            raise Problem(409, "not-yet-projected", "Not yet projected", detail, newest_sequence=newest)
        self.response.headers[HEADER] = str(wanted)
        if is_fixed:
            caching.for_good(self.response)
        return wanted

    async def place(self, connection: AsyncConnection, *names: str) -> int:
        """As `sequence`; where the present is asked for, the newest event that all of these have seen.

        So that what several of them say fits together.
        """
        wanted = await self.sequence(connection, *names)
        return await seen_by_all(connection, names) if wanted is None else wanted

    async def _wanted(self, connection: AsyncConnection, names: tuple[str, ...]) -> tuple[int, int, bool]:
        """The sequence, the newest there is, and whether the same will be meant for ever."""
        if self.at is None:
            assert self.at_seq is not None
            return self.at_seq, await seen_by_all(connection, names), True
        # Asked first: what the projection of moments sees after that is in none of the answers.
        newest = await seen_by_all(connection, (*names, MOMENTS))
        later = await moments.first_after(connection, self.at)
        return (newest, newest, False) if later is None else (later - 1, newest, True)


async def _as_of(
    response: Response,
    at_seq: Annotated[
        int | None, Query(ge=0, lt=2**63, description="as of the event at this sequence of the log")
    ] = None,
    at: Annotated[
        str | None,
        Query(max_length=40, description="as of this moment, RFC 3339 with a zone; to the second"),
    ] = None,
) -> AsOf:
    if at_seq is not None and at is not None:
        raise _invalid("at_seq and at were both given: a moment is asked for by one of them")
    return AsOf(response, at_seq, None if at is None else _moment(at))


Past = Annotated[AsOf, Depends(_as_of)]


def _moment(text: str) -> datetime:
    form = "write it as 2026-01-02T03:04:05Z or 2026-01-02T03:04:05%2B01:00"
    if not RFC_3339.fullmatch(text):
        raise _invalid(f"at: {text!r} is no moment with a zone (RFC 3339); {form}")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _invalid(f"at: {text!r} is no moment ({error}); {form}") from error


def _invalid(detail: str) -> Problem:
    return Problem(422, "invalid-request", "Invalid request", detail)
