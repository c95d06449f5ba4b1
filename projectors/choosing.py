"""Read models by name, as commands ask for them."""

from __future__ import annotations

from events.cli import Misused
from projectors.projector import Projection
from projectors.topics import PROJECTIONS

NAMES = {projection.name: projection for projection in PROJECTIONS}


def chosen(names: list[str]) -> list[Projection]:
    """The projections of these names, all if there are none.

    Raises:
        Misused: there is no such read model.
    """
    for name in names:
        if name not in NAMES:
            raise Misused(f"there is no read model {name!r}; there are {', '.join(NAMES)}")
    return [projection for name, projection in NAMES.items() if not names or name in names]
