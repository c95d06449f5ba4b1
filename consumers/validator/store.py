"""What a validator remembers over a restart: one small file for each chain, subnet and hotkey.

StoreRefused    the file is not as we write it, or another validator has it
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
from pathlib import Path
from typing import IO

import orjson
from pydantic import TypeAdapter, ValidationError

from consumers.validator.attempt import Attempt
from consumers.validator.documents import Subnet
from events.for_people import ForPeople
from events.ids import Hotkey

_ATTEMPT = TypeAdapter(Attempt)


class StoreRefused(ForPeople):
    """The file is not as we write it, or another process uses it. The message names it, and the remedy."""


class Store:
    """Keeps the newest attempt. What `write` has returned from survives a crash and a power loss."""

    def __init__(self, home: Path, subnet: Subnet, hotkey: Hotkey) -> None:
        self.path = home / "validator" / f"{subnet.genesis[:16]}-{subnet.netuid}-{hotkey}.json"
        self._lock: IO[str] | None = None

    def lock(self) -> None:
        """Keeps other processes off until `close`. Needed before the first `write`.

        Raises:
            StoreRefused: another process has it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self.path.with_suffix(".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreRefused(
                f"{self.path} is used by another validator with this hotkey: one is enough; end the other"
            ) from error

    def close(self) -> None:
        """Lets another process have it."""
        if self._lock is not None:
            self._lock.close()

    def read(self) -> Attempt | None:
        """None: nothing was ever sent from here.

        Raises:
            StoreRefused: see the class.
        """
        try:
            return _ATTEMPT.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValidationError, OSError) as error:
            raise StoreRefused(
                f"{self.path} cannot be read: {error}; look on the chain what was submitted last, then remove it"
            ) from error

    def write(self, attempt: Attempt) -> None:
        """Replaces the file as a whole."""
        draft = self.path.with_suffix(".draft")
        with draft.open("wb") as file:
            file.write(orjson.dumps(dataclasses.asdict(attempt)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
