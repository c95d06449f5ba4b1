"""The base of everything that is answered."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Can be made from a query's result where the names are the same: `Progress.model_validate(counts)`."""

    model_config = ConfigDict(from_attributes=True)
