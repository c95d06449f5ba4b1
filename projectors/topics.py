"""All projections there are. A new topic is a folder and a line here."""

from __future__ import annotations

from projectors.cycles.project import PROJECTION as CYCLES
from projectors.episodes.project import PROJECTION as EPISODES
from projectors.miners.project import PROJECTION as MINERS
from projectors.moments.project import PROJECTION as MOMENTS
from projectors.projector import Projection
from projectors.verifications.project import PROJECTION as VERIFICATIONS
from projectors.weights.project import PROJECTION as WEIGHTS

PROJECTIONS: tuple[Projection, ...] = (CYCLES, EPISODES, MINERS, MOMENTS, VERIFICATIONS, WEIGHTS)
