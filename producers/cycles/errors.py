"""Why a cycle cannot go on.

CycleError
├── NothingToEvaluate   there is no plan, and none can be made now
├── ChainAway           there is no plan, and the chain that it needs cannot be read
├── OutOfTurn           the cycle before it has not ended
├── ForeignSecret       the plan was made with another master key
├── ForeignChain        the plan is about another chain, or about none
├── SealedEndpoints     miners of the plan have sealed endpoints, and the key that opens them is missing
└── UnfairTerms         the plan's terms are refused on this network
"""

from __future__ import annotations

from events.for_people import ForPeople


class CycleError(ForPeople):
    """The cycle cannot go on. The message says why and what to do."""


class NothingToEvaluate(CycleError):
    """Nobody to evaluate. Nothing was appended; try again when there are miners."""


class ChainAway(CycleError):
    """The chain cannot be read now. Nothing was appended; try again when it can."""


class OutOfTurn(CycleError):
    """Cycles are consecutive, and the one before has not ended."""


class ForeignSecret(CycleError):
    """The plan commits to a secret that this master key does not give, so this process cannot reveal it."""


class ForeignChain(CycleError):
    """The seeds of the cycle come from another chain than this process reads, or from none."""


class SealedEndpoints(CycleError):
    """The plan evaluates miners whose endpoints this process cannot read. Nothing was forfeited for that."""


class UnfairTerms(CycleError):
    """The plan in the log has terms that this network refuses."""
