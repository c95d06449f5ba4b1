"""The keys that the log announces, and what may be done with one's own.

KeyRefused      the key at hand is not the one in force, and why that must not be mended silently
"""

from __future__ import annotations

from contextlib import suppress

from events import subjects
from events.codec import decode_as, draft
from events.envelope import RecordedEvent, begin
from events.for_people import ForPeople
from events.ids import Hotkey
from events.keys import SigningKey
from events.log import Conflict, EventLog
from events.signed import KeyAnnounced
from events.statements import announce, check_identity

SOURCE = "/kinitro/signing"

Announcement = RecordedEvent[KeyAnnounced]


class KeyRefused(ForPeople):
    """What this key signs, nobody would believe. The message names the key in force, and says how to rotate."""


async def announcements(log: EventLog) -> list[Announcement]:
    """All announced keys, oldest first, each checked to follow from the one before.

    Raises:
        StatementError: they do not.
        CodecError, LogUnavailable: as the log.
    """
    found = [
        decode_as(KeyAnnounced, stored) async for batch in log.read(subject=subjects.IDENTITY) for stored in batch
    ]
    check_identity([each.event for each in found])
    return found


async def take_up(log: EventLog, key: SigningKey) -> tuple[Hotkey, ...]:
    """Makes sure that `key` is the one in force; in a log without any, it is announced as the first.

    Returns all keys that were ever announced, ours last.

    Raises:
        KeyRefused: another one is in force.
        StatementError, CodecError, LogUnavailable: as `announcements`.
    """
    if not (found := await announcements(log)):
        with suppress(Conflict):  # somebody else was first; whether with our key is seen below
            await log.append([draft(begin(announce(key, [], None), source=SOURCE))])
        found = await announcements(log)
    _check_in_force(found, key)
    return tuple(each.event.signature.key for each in found)


async def check_not_replaced(log: EventLog, keys: tuple[Hotkey, ...]) -> None:
    """The last of `keys` is still in force: one question to the log.

    Raises:
        KeyRefused: it is not.
        LogUnavailable: no answer in time.
    """
    if await log.last(subjects.identity(len(keys) + 1)) is not None:
        raise KeyRefused(
            f"signing key {keys[-1]} was replaced in the meantime: start with the new key's file"
            " (--signing-key-file); `kinitro identity show` names it"
        )


async def rotate(log: EventLog, old: SigningKey, new: SigningKey) -> KeyAnnounced:
    """Announces `new`, signed by both. Whoever still signs with `old` stops at the next statement.

    Raises:
        KeyRefused: `old` is not in force, `new` was announced before, or somebody else rotates as well.
        StatementError, CodecError, LogUnavailable: as `announcements`.
    """
    found = await announcements(log)
    if not found:
        raise KeyRefused("the log announces no key yet: start the scheduler, which announces its own")
    _check_in_force(found, old)
    earlier = [each.event for each in found]
    if new.address in (each.signature.key for each in earlier):
        raise KeyRefused(f"key {new.address} was announced before: rotate to a new one, in a file of its own")
    announced = announce(new, earlier, old)
    try:
        await log.append([draft(found[-1].envelope.follow(announced, source=SOURCE))])
    except Conflict as error:
        raise KeyRefused(f"somebody else rotates at this moment ({error}): see `kinitro identity show`") from error
    return announced


def _check_in_force(found: list[Announcement], key: SigningKey) -> None:
    in_force = found[-1].event.signature.key
    if in_force != key.address:
        raise KeyRefused(
            f"signing key {key.address}: the log announces {in_force}; start with that key's file"
            f" (--signing-key-file), or replace it with `kinitro identity rotate --new-key-file FILE`"
        )
