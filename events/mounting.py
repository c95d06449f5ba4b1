"""Commands that are imported when they are called: a light one need not pay for what a heavy one imports."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group


class Mounted(TyperCommand):
    """A command, or a group of them, of which only the name and one line of help are known so far.

    `where` is `module:attribute`, a function or a `typer.Typer`. `within` are commands that the group gets from
    elsewhere.
    """

    def __init__(self, name: str, where: str, summary: str, *within: Mounted, hidden: bool = False) -> None:
        super().__init__(name, callback=None, help=summary, hidden=hidden)
        self.where = where
        self.within = within

    def load(self) -> Any:
        """The command itself, imported now."""
        module, _, attribute = self.where.partition(":")
        found = getattr(import_module(module), attribute)
        parent = typer.Typer()
        if isinstance(found, typer.Typer):
            parent.add_typer(found, name=self.name)
        else:
            parent.command(self.name, hidden=self.hidden)(found)
        command = get_group(parent).commands[self.name or ""]
        if isinstance(command, TyperGroup):
            mount(command, *self.within)
        return command

    def make_context(self, *arguments: Any, **how: Any) -> Any:
        """That of the command itself, which is then the one that is invoked."""
        return self.load().make_context(*arguments, **how)


def mount(group: TyperGroup, *commands: Mounted) -> None:
    """Adds the commands to the group."""
    for command in commands:
        group.add_command(command)
