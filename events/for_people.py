"""What all errors have in common that are meant for whoever runs a command."""

from __future__ import annotations


class ForPeople(Exception):
    """The message says what is wrong and what to do: the command line shows it alone, without a traceback."""
