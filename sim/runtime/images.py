"""Builds images on a Docker engine, and tells how far it is."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from aiodocker import Docker
from aiodocker.exceptions import DockerError, DockerStreamError

from sim.runtime.docker import told

LAST_LINES = 20
STEP = re.compile(r"Step (\d+)/(\d+) : (.*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the Dockerfile begins."""

    number: int
    of: int
    instruction: str


class BuildFailed(Exception):
    """A step failed, or the engine did; `lines` is what was said last."""

    def __init__(self, step: Step | None, reason: str, lines: list[str]) -> None:
        at = f"step {step.number} of {step.of}, {step.instruction}: " if step else ""
        super().__init__(f"{at}{reason}")
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Building:
    """What is to be built."""

    tag: str
    context: Path
    """A tar of the files that the Dockerfile may copy, itself among them."""
    dockerfile: str
    """Its path in there."""
    arguments: Mapping[str, str]
    labels: Mapping[str, str]


async def build(engine: Docker, building: Building) -> AsyncGenerator[Step | str, None]:
    """The steps as they begin, and the lines that they print; after the last there is such an image.

    Raises:
        BuildFailed: there is none.
    """
    step: Step | None = None
    lines: deque[str] = deque(maxlen=LAST_LINES)
    try:
        with building.context.open("rb") as file:
            async with aclosing(_said(engine, building, file)) as said:
                async for line in said:
                    match = STEP.fullmatch(line)
                    if match:
                        step = Step(int(match[1]), int(match[2]), match[3])
                        lines.clear()
                    else:
                        lines.append(line)
                    yield step if match and step else line
    except DockerStreamError as error:
        raise BuildFailed(step, told(error), list(lines)) from error
    except DockerError as error:
        raise BuildFailed(step, f"the engine refuses: {told(error)}", list(lines)) from error


async def _said(engine: Docker, building: Building, file: BinaryIO) -> AsyncGenerator[str, None]:
    pieces = engine.images.build(
        fileobj=file,
        encoding="identity",
        path_dockerfile=building.dockerfile,
        tag=building.tag,
        buildargs=building.arguments,
        labels=building.labels,
        forcerm=True,
        stream=True,
    )
    begun = ""
    async for piece in pieces:
        *whole, begun = (begun + piece.get("stream", "")).split("\n")
        for line in whole:
            if line.strip():
                yield line.rstrip()
    if begun.strip():
        yield begun.rstrip()
