"""A verdict as people see it in a terminal."""

from __future__ import annotations

from rich.text import Text


def mark(same: bool | None) -> Text:
    """`same`, `DIFFERENT`, or, for None, `not judged`."""
    match same:
        case True:
            return Text("same", style="green")
        case False:
            return Text("DIFFERENT", style="bold red")
        case None:
            return Text("not judged", style="yellow")
