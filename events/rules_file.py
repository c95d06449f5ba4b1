"""Rules in a TOML file: the fields of `ScoringRules` (events/rules.py), as many of them as differ.

temperature = 2.0
points = "exponential"
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from events.cli import Misused
from events.rules import ScoringRules

SIZE_MAX = 64 * 1024


class RulesRefused(Misused):
    """The file cannot be read, or names what is no rule or no value of one."""


@dataclass(frozen=True)
class RulesFile:
    """What a file says, by name. The names are those of rules; the values are checked with the rest by `over`."""

    path: Path
    given: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> RulesFile:
        """The file as it is.

        Raises:
            RulesRefused: it cannot be read, is not TOML, names no rule, or names something else.
        """
        try:
            with path.open("rb") as file:
                given = tomllib.loads(file.read(SIZE_MAX).decode(), parse_float=Decimal)
        except OSError as error:
            raise RulesRefused(f"{path}: cannot be read ({error.strerror}); name a file of rules") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RulesRefused(f"{path}: not TOML: {error}; write lines such as `temperature = 2.0`") from error
        known = ", ".join(ScoringRules.model_fields)
        for name in given:
            if name not in ScoringRules.model_fields:
                raise RulesRefused(f"{path}: unknown rule {name!r} = {given[name]!r:.100}; there are {known}")
        if not given:
            raise RulesRefused(f"{path}: names no rule; write at least one of {known}")
        return cls(path, given)

    def over(self, base: ScoringRules) -> ScoringRules:
        """The rules with what the file gives, and the rest as in `base`.

        Raises:
            RulesRefused: a value is none of its rule, or does not fit the others.
        """
        for name, value in self.given.items():
            if isinstance(value, bool | dict | list):
                raise RulesRefused(f"{self.path}: {name} is {value!r:.100}; write a number, or a name in quotes")
        try:
            return ScoringRules.model_validate(base.model_dump() | self.given)
        except ValidationError as error:
            first = error.errors()[0]
            reason = first["msg"].removeprefix("Value error, ")
            name = str(first["loc"][0]) if first["loc"] else ""
            told = f"{name} is {str(self.given.get(name))!r:.100}: " if name else ""
            raise RulesRefused(f"{self.path}: {told}{reason}; correct it") from error
