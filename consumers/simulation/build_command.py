"""`kinitro build-eval-env`: the image of workers in containers, of the sources of this checkout."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import aiohttp
import typer
from rich.console import Console

from consumers.simulation.container_options import IMAGE
from events.bars import Tell, bar
from events.cli import FAILED, Misused, run_once
from sim.runtime import sources
from sim.runtime.docker import ENGINE, EngineUnusable, answering, engine_at, is_address, told
from sim.runtime.images import BuildFailed, Building, Step, build

BASE = "python:3.12-slim-bookworm"
DOCKERFILE = Path("deploy/eval-env.Dockerfile")
BESIDES = (DOCKERFILE, Path("requirements.lock"), Path("pyproject.toml"), Path("README.md"))
"""What a checkout has and an installation has not."""


@dataclass(frozen=True, slots=True)
class _Asked:
    tag: str
    base_image: str
    engine: str


def build_eval_env(
    tag: Annotated[str, typer.Option(help="Name of the image.")] = IMAGE,
    base_image: Annotated[str, typer.Option(help="A Debian with Python 3.11 to 3.13 and pip.")] = BASE,
    docker_host: Annotated[str, typer.Option(envvar="DOCKER_HOST", help="Its engine.")] = ENGINE,
) -> None:
    """Build the image of workers in containers, for `executor --runtime docker`."""
    if not is_address(docker_host):
        raise Misused(f"--docker-host: expected unix:///PATH or tcp://HOST:PORT, got {docker_host!r}")
    missing = [str(path) for path in BESIDES if not (sources.ROOT / path).is_file()]
    if missing:
        raise Misused(
            f"{sources.ROOT} is no checkout of kinitro ({', '.join(missing)} not found): build from one of"
            " this version"
        )
    run_once(lambda: _build(_Asked(tag, base_image, docker_host)))


async def _build(asked: _Asked) -> None:
    console = Console(stderr=True, soft_wrap=True, emoji=False, highlight=False)
    with _context() as context, bar(f"building {asked.tag}") as tell:
        async with engine_at(asked.engine) as engine:
            await answering(engine, asked.engine)
            labels = {sources.LABEL: sources.digest()}
            wanted = Building(asked.tag, context, str(DOCKERFILE), {"BASE_IMAGE": asked.base_image}, labels)
            try:
                async with aclosing(build(engine, wanted)) as said:
                    async for each in said:
                        _show(each, console, tell)
            except BuildFailed as error:
                console.print("\n".join(error.lines), markup=False)
                console.print(f"kinitro: {asked.tag} could not be built: {error}", markup=False)
                raise typer.Exit(FAILED) from error
            except aiohttp.ClientError as error:
                raise EngineUnusable(f"the Docker engine at {asked.engine} went away: {told(error)}") from error
            image = await engine.images.inspect(asked.tag)
    typer.echo(f"{asked.tag}  {image['Id']}  {image['Size'] / 1e6:,.0f} MB  sources {labels[sources.LABEL]}")


def _show(said: Step | str, console: Console, tell: Tell) -> None:
    """Each step: a place on the bar where there is one, a line elsewhere."""
    if isinstance(said, Step):
        tell(said.number - 1, said.of, f"{said.number}/{said.of} {said.instruction[:60]}")
        if not console.is_terminal:
            console.print(f"{said.number}/{said.of} {said.instruction}", markup=False)


@contextmanager
def _context() -> Iterator[Path]:
    """The files that the image is built from, as a tar."""
    with tempfile.TemporaryDirectory(prefix="kinitro-build-") as directory:
        path = Path(directory, "context.tar")
        with tarfile.open(path, "w") as tar:
            for file in (*sources.files(), *(sources.ROOT / path for path in BESIDES)):
                tar.add(file, file.relative_to(sources.ROOT).as_posix(), filter=_anybodys)
        yield path


def _anybodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode |= 0o444
    return entry
