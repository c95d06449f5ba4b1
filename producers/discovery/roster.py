"""A TOML file of miners, for networks without a chain.

    [[miner]]
    hotkey = "5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX"
    uid = 0
    endpoint = "http://127.0.0.1:9001"     # base URL of the policy server
    repo = "user/policy"
    revision = "0123abcd"
    committed_block = 100                  # who was earlier; ties go to the lower uid

A roster without miners says `miner = []`. An empty file is refused: it is what an editor leaves for a moment while
it saves. Whoever writes a roster by program should write a new file and rename it over the old one.
"""

from __future__ import annotations

import asyncio
import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from events.event import HotkeyField, Text, UidField
from events.miners import Commitment
from producers.blocks import BlockSource
from producers.discovery.base_url import base_url
from producers.discovery.source import RegisteredMiner, Snapshot, SourceTrouble
from producers.discovery.toml_lines import line_of, line_of_syntax_error

SIZE_MAX = 4 * 1024 * 1024
PROBLEMS_MAX = 10
"""How many problems one refusal tells: finding a line costs several readings of the file."""

_REPO = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and on which 1-based line; 0 where it is the file as a whole."""

    line: int
    reason: str


class RosterRefused(SourceTrouble):
    """The roster is bad and was not taken. The message has a line `file:line: reason` for each problem."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        self.path = path
        self.problems = sorted(problems, key=lambda problem: problem.line or math.inf)
        super().__init__("\n".join(f"{path}:{f'{it.line}:' if it.line else ''} {it.reason}" for it in self.problems))


def _repo(repo: str) -> str:
    if not _REPO.fullmatch(repo):
        raise ValueError("not user/name")
    return repo


def _revision(revision: str) -> str:
    if not revision or any(char.isspace() for char in revision):
        raise ValueError("not a revision: one word, not empty")
    return revision


class _RosterMiner(BaseModel):
    """One `[[miner]]` table."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    hotkey: HotkeyField
    uid: UidField
    endpoint: Annotated[Text, AfterValidator(base_url)]
    repo: Annotated[Text, AfterValidator(_repo)]
    revision: Annotated[Text, AfterValidator(_revision)]
    committed_block: Annotated[int, Field(ge=0)]

    def registered(self) -> RegisteredMiner:
        commitment = Commitment(
            repo=self.repo, revision=self.revision, endpoint=self.endpoint, block=self.committed_block
        )
        return RegisteredMiner(self.hotkey, self.uid, commitment)


class _Roster(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    miner: list[_RosterMiner]


class RosterSource:
    """A `MinerSource` that reads the file anew for each snapshot, and so follows its changes.

    A bad file gives no snapshot, and without one nothing is appended: in the log the last good roster stays.
    """

    def __init__(self, path: Path, blocks: BlockSource) -> None:
        self._path = path
        self._blocks = blocks

    async def snapshot(self) -> Snapshot:
        """The roster at the current block.

        Raises:
            RosterRefused: the file cannot be read, or is bad.
        """
        miners = await asyncio.to_thread(read_roster, self._path)
        return Snapshot((await self._blocks.current()).number, miners)


def read_roster(path: Path) -> tuple[RegisteredMiner, ...]:
    """The miners of a roster file, in its order.

    Raises:
        RosterRefused: it cannot be read, or is bad.
    """
    text = _text(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RosterRefused(path, [Problem(line_of_syntax_error(text, error), f"not TOML: {error}")]) from error
    try:
        roster = _Roster.model_validate(document)
    except ValidationError as error:
        raise RosterRefused(path, _problems(text, document, error)) from error
    if twice := [*_twice(text, roster, "uid"), *_twice(text, roster, "hotkey")]:
        raise RosterRefused(path, twice)
    return tuple(miner.registered() for miner in roster.miner)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_MAX + 1)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}; name a roster file that exists and is readable"
        raise RosterRefused(path, [Problem(0, reason)]) from error
    if len(raw) > SIZE_MAX:
        raise RosterRefused(path, [Problem(0, f"is larger than {SIZE_MAX} bytes; is this the roster?")])
    try:
        return raw.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise RosterRefused(path, [Problem(line, "is not UTF-8; save the file in that encoding")]) from error


def _problems(text: str, document: dict[str, Any], error: ValidationError) -> list[Problem]:
    found = error.errors()
    shown = [_problem(text, document, each) for each in found[:PROBLEMS_MAX]]
    if len(found) > len(shown):
        shown.append(Problem(0, f"has {len(found) - len(shown)} more problems"))
    return shown


def _problem(text: str, document: dict[str, Any], error: ErrorDetails) -> Problem:
    """One of pydantic's findings, at the line of the key that it is about, or of the table that lacks the key."""
    path = error["loc"]
    name = path[-1]
    if path == ("miner",) and error["type"] == "missing":
        return Problem(0, "has no [[miner]] table; write `miner = []` for a roster without miners")
    line = line_of(text, path) or line_of(text, path[:-1])
    whose = _whose(document, path)
    if error["type"] == "missing":
        return Problem(line, f"{whose}has no {name}; add it")
    if error["type"] == "extra_forbidden":
        known = ", ".join((_RosterMiner if len(path) > 1 else _Roster).model_fields)
        return Problem(line, f"{whose}has an unknown key {name!r}, expected {known}")
    if error["type"] == "model_type":
        return Problem(line, f"miner {error['input']!r:.70} is not a table")
    reason = error["ctx"]["error"] if error["type"] == "value_error" else error["msg"]
    return Problem(line, f"{whose}{name} is {error['input']!r:.100}: {reason}")


def _whose(document: dict[str, Any], path: tuple[str | int, ...]) -> str:
    """`miner 5F3sa: ` where the path leads into a table of that hotkey."""
    if len(path) < 3 or not isinstance(path[1], int):
        return ""
    return f"miner {document['miner'][path[1]].get('hotkey', 'without hotkey')!r:.70}: "


def _twice(text: str, roster: _Roster, name: str) -> list[Problem]:
    first: dict[object, int] = {}
    problems: list[Problem] = []
    for position, miner in enumerate(roster.miner):
        value = getattr(miner, name)
        if value in first and len(problems) < PROBLEMS_MAX:
            there = line_of(text, ("miner", first[value], name))
            here = line_of(text, ("miner", position, name))
            problems.append(
                Problem(here, f"{name} {value} is taken by the miner at line {there}; each needs its own")
            )
        first.setdefault(value, position)
    return problems
