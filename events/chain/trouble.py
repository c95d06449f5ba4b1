"""What can be wrong with a chain that is read.

ChainTrouble            the chain cannot be read, or not now
├── NoConnection        no node answers
├── StatePruned         the node no longer has the state of the block
├── Reorganised         the block that was read is not, or no longer, in the node's chain
├── RuntimeUnsuited     the chain's runtime lacks what is read, or says it in another form
├── NodeRefused         the node answers with an error of its own
├── OtherChain          the node serves another chain than the node before it
└── NoSubnet            there is no such netuid
"""

from __future__ import annotations

from events.for_people import ForPeople


class ChainTrouble(ForPeople):
    """The chain could not be read. Nothing else is wrong: ask again later."""


class NoConnection(ChainTrouble):
    """No node answered in time."""


class StatePruned(ChainTrouble):
    """The node has discarded the state of the block that was asked for."""


class Reorganised(ChainTrouble):
    """What was read belongs to a block that is not, or no longer, in the node's chain."""


class RuntimeUnsuited(ChainTrouble):
    """The runtime has no such storage item or method, or gives it another form. Waiting alone does not help."""


class NodeRefused(ChainTrouble):
    """The node answers with an error."""


class OtherChain(ChainTrouble):
    """The node serves another chain than the one that was read first: endpoints of two chains were named."""


class NoSubnet(ChainTrouble):
    """The chain has no subnet with this netuid."""
